# A provider image that cannot be had takes nothing down where a second host is free.
host a
host b
deploy shop
  provider http image=http:1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
image http:2 fail=no_such_image
deploy shop
  provider http image=http:2
|  10.000 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  10.000 status shop: reconciling Scaling provider on 1 host(s)
run 60s
|  10.001 status shop: failed no such image
|  10.961 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  12.742 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  16.731 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  22.960 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  37.126 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  63.229 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
show
| on a: shop-http=1/http:1/default
| on b: 
