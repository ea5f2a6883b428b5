# A component ends without being asked to, and a provider too: both are started again. (D-22)
host a
host b
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
remove shop-web@a
run 10s
|  30.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  30.000 status shop: reconciling Scaling component on 1 host(s)
|  30.001 status shop: deployed 
remove shop-http@a
run 10s
|  40.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  40.000 status shop: reconciling Scaling provider on 1 host(s)
|  40.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
