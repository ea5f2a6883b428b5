# The owner dies during an upgrade in place; the next one goes on where it stood.
host a
host b
image web:2 fetch=8s
deploy shop
  component web image=web:1 instances=4
run 10s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  component web image=web:2 instances=4
|  10.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 2s
restart
run 60s
|  12.102 status shop: reconciling Scaling component on 1 host(s)
|  18.001 update component shop-web@b web:2 (image web:2 replaces web:1)
|  26.002 status shop: deployed 
show
| on a: shop-web=2/web:2/default
| on b: shop-web=2/web:2/default
