# Hosts lose the label that a spread wants, unheard, and the application is
# undeployed: what runs where it no longer belongs goes too, all of it. (D-09)
host a zone=e
host b zone=e
host c zone=e
deploy shop
  component web image=web:1 instances=3 spread=east:zone=e
  provider http image=http:1 instances=3 spread=east:zone=e
run 10s
|   0.102 start provider shop-http@a http:1 (spread east wants it here, it does not run)
|   0.102 start provider shop-http@b http:1 (spread east wants it here, it does not run)
|   0.102 start provider shop-http@c http:1 (spread east wants it here, it does not run)
|   0.102 scale shop-web@a to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@c to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 3 host(s), Scaling provider on 3 host(s)
|   0.103 status shop: reconciling Scaling component on 3 host(s), Scaling provider on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 3 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 3 host(s)
|   0.103 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
lose event labels_changed 2
relabel a zone=w
relabel b zone=w
undeploy shop
|  10.000 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  10.000 stop provider shop-http@b  (no deployed application wants shop-http of application "shop")
|  10.000 stop provider shop-http@c  (no deployed application wants shop-http of application "shop")
|  10.000 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  10.000 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  10.000 scale shop-web@c to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  10.000 status shop: reconciling Manifest is being undeployed
run 1m
|  10.002 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
| on c: 
# The same heard of and without an undeploy: both hosts are cleared in one go.
relabel a zone=e
relabel b zone=e
deploy shop
  component web image=web:1 instances=3 spread=east:zone=e
|  70.000 scale shop-web@c to 3 of web:1 (spread east wants 3 here, nothing runs)
|  70.000 status shop: reconciling Scaling component on 1 host(s)
run 30s
|  70.001 status shop: deployed 
relabel a zone=w
relabel b zone=w
run 30s
show
| on a: 
| on b: 
| on c: shop-web=3/web:1/east
