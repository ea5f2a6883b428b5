# The removal of a daemon provider stops it where it runs and starts it nowhere,
# and of one that is wanted zero times nothing flaps. (D-05)
host a
deploy shop
  provider http image=http:1 daemon=1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
image http:1 fail=no_disk
host b
host c
run 1s
|  10.000 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  10.000 status shop: reconciling Scaling provider on 1 host(s)
|  10.000 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|  10.000 status shop: reconciling Scaling provider on 2 host(s)
|  10.001 status shop: failed no disk
|  10.961 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  10.968 start provider shop-http@c http:1 (spread default wants it here, it does not run)
image http:1
undeploy shop
|  11.000 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  11.000 status shop: reconciling Manifest is being undeployed
run 10m
|  11.001 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
| on c: 
deploy shop
  provider http image=http:1 daemon=0
| 611.000 status shop: deployed 
run 10m
show
| on a: 
| on b: 
| on c: 
