# A provider can't be updated in place. With a second host the new one is up
# before the old one goes; without, it is stopped and started. (D-08)
host a
host b
image http:2 fetch=3s
deploy shop
  provider http image=http:1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  provider http image=http:2
|  10.000 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  10.000 status shop: reconciling Scaling provider on 1 host(s)
run 20s
|  13.001 stop provider shop-http@a  (host host-a (a) is not, or no longer, needed for shop-http)
|  13.002 status shop: deployed 
show
| on a: 
| on b: shop-http=1/http:2/default
kill b
run 60s
|  40.752 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  40.752 status shop: reconciling Scaling provider on 1 host(s)
|  43.753 status shop: deployed 
deploy shop
  provider http image=http:1
|  90.000 stop provider shop-http@a  (makes room for image http:1 with its configuration)
|  90.000 status shop: reconciling Scaling provider on 1 host(s)
run 20s
|  90.001 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  90.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default
