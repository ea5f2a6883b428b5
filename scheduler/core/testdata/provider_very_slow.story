# A start that outlasts its deadline is not undone by the second attempt.
host a
host b
image http:1 fetch=150s
deploy shop
  provider http image=http:1 instances=1
run 400s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
| 120.102 start provider shop-http@b http:1 (spread default wants it here, it does not run)
| 120.102 status shop: failed no outcome of start_provider within 2m0s
| 150.103 status shop: reconciling Scaling provider on 1 host(s)
| 240.102 status shop: deployed 
| 270.103 stop provider shop-http@b  (host host-b (b) is not, or no longer, needed for shop-http)
| 270.103 status shop: reconciling Scaling provider on 1 host(s)
| 270.104 status shop: deployed 
show
| on a: shop-http=1/http:1/default
| on b: 
