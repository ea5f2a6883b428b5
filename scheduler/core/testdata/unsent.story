# The owner stores its commands and dies before they leave. The next one waits
# for them a little, since they may have left; then it sends them again.
host a
host b
image web:1 fetch=1s
run 30s
lose command scale_component 2
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
|  30.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  30.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  30.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|  30.000 status shop: reconciling Scaling component on 2 host(s), Scaling provider on 1 host(s)
run 1ms
|  30.001 status shop: reconciling Scaling component on 2 host(s)
restart
run 60s
|  30.103 status shop: reconciling Scaling component on 2 host(s)
|  40.001 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  40.001 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|  41.002 status shop: reconciling Scaling component on 1 host(s)
|  41.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| on b: shop-web=2/web:1/default

# The same while it undeploys.
lose command scale_component 2
undeploy shop
|  90.001 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  90.001 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  90.001 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  90.001 status shop: reconciling Manifest is being undeployed
run 1ms
restart
run 60s
|  90.104 status shop: reconciling Manifest is being undeployed
| 100.002 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
| 100.002 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
| 100.004 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
