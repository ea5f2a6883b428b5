# What a stopped host said before comes once more: it does not come back, nor is its
# replacement stopped.
host a
host b
run 9900ms
deploy shop
  component web image=web:1 instances=1
|   9.900 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   9.900 status shop: reconciling Scaling component on 1 host(s)
run 10s
|   9.901 status shop: deployed 
double
run 300ms
stop a
run 400ms
|  20.200 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  20.200 status shop: reconciling Scaling component on 1 host(s)
|  20.201 status shop: deployed 
show
| on b: shop-web=1/web:1/default
run 5s
show
| on b: shop-web=1/web:1/default
run 60s
show
| on b: shop-web=1/web:1/default
