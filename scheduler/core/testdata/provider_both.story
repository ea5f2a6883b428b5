# Two instances on two hosts: no free host for a new one, so one after the other.
host a
host b
image http:2 fetch=3s
deploy shop
  provider http image=http:1 instances=2
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 2 host(s)
|   0.103 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  provider http image=http:2 instances=2
|  10.000 stop provider shop-http@a  (makes room for image http:2 with its configuration)
|  10.000 status shop: reconciling Scaling provider on 1 host(s)
run 30s
|  10.001 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  13.002 stop provider shop-http@b  (makes room for image http:2 with its configuration)
|  13.003 start provider shop-http@b http:2 (spread default wants it here, it does not run)
|  16.004 status shop: deployed 
show
| on a: shop-http=1/http:2/default
| on b: shop-http=1/http:2/default
