# The owner dies while hosts are starting things, and again before its commands
# have arrived. Nothing is started twice.
host a
host b
image web:1 fetch=8s
deploy shop
  component web image=web:1 instances=4
run 2s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
restart
run 2s
|   2.102 status shop: reconciling Scaling component on 2 host(s)
restart
run 30s
|   4.102 status shop: reconciling Scaling component on 2 host(s)
|   8.103 status shop: reconciling Scaling component on 1 host(s)
|   8.103 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
