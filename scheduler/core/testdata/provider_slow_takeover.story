# The old provider goes when the new one is up, whatever else happens meanwhile.
host a
host b
image http:2 fetch=30s
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
run 5s
host c
run 10s
show
| on a: shop-http=1/http:1/default
| on b: 
| on c: 
run 30s
|  40.001 stop provider shop-http@a  (host host-a (a) is not, or no longer, needed for shop-http)
|  40.002 status shop: deployed 
show
| on a: 
| on b: shop-http=1/http:2/default
| on c: 
