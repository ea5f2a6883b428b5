# Every event comes three times.
host a
host b
double
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
run 30s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  component web image=web:2 instances=4
  provider http image=http:1
|  30.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  30.000 status shop: reconciling Scaling component on 1 host(s)
run 30s
|  30.001 update component shop-web@b web:2 (image web:2 replaces web:1)
|  30.002 status shop: deployed 
undeploy shop
|  60.000 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  60.000 scale shop-web@a to 0 of web:2 (no deployed application wants shop-web of application "shop")
|  60.000 scale shop-web@b to 0 of web:2 (no deployed application wants shop-web of application "shop")
|  60.000 status shop: reconciling Manifest is being undeployed
run 30s
|  60.002 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
