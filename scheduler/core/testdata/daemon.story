# A daemon scaler runs on every host that fits, also on one that joins; it leaves
# with its labels. (D-05)
host a zone=e
host b zone=w
deploy shop
  component web image=web:1 daemon=2 spread=east:zone=e
  provider http image=http:1 daemon=1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread east wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/east
| on b: shop-http=1/http:1/default
host c zone=e
run 20s
|  10.000 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|  10.000 scale shop-web@c to 2 of web:1 (spread east wants 2 here, nothing runs)
|  10.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|  10.001 status shop: reconciling Scaling component on 1 host(s)
|  10.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/east
| on b: shop-http=1/http:1/default
| on c: shop-http=1/http:1/default shop-web=2/web:1/east
relabel c zone=w
run 20s
|  30.000 scale shop-web@c to 0 of web:1 (host host-c (c) is not, or no longer, needed for shop-web)
|  30.000 status shop: reconciling Found components running on ineligible hosts, removing them.
|  30.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/east
| on b: shop-http=1/http:1/default
| on c: shop-http=1/http:1/default
undeploy shop
|  50.000 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  50.000 stop provider shop-http@b  (no deployed application wants shop-http of application "shop")
|  50.000 stop provider shop-http@c  (no deployed application wants shop-http of application "shop")
|  50.000 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  50.000 status shop: reconciling Manifest is being undeployed
run 20s
|  50.002 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
| on c: 
