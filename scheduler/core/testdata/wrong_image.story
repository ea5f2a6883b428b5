# A first image that does not exist, corrected: no wait is sat out.
host a
image web:1 fail=no_such_image
deploy shop
  component web image=web:1 instances=2
run 90s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: failed no such image
|   1.033 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   2.607 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   6.180 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  13.366 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  25.430 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  52.976 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
deploy shop
  component web image=web:2 instances=2
|  90.000 scale shop-web@a to 2 of web:2 (spread default wants 2 here, nothing runs)
|  90.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
|  90.001 status shop: deployed 
show
| on a: shop-web=2/web:2/default
# The same for an update, which fails without a word.
deploy shop
  component web image=web:1 instances=2
| 100.000 update component shop-web@a web:1 (image web:1 replaces web:2)
| 100.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
deploy shop
  component web image=web:3 instances=2
| 110.000 update component shop-web@a web:3 (image web:3 replaces web:2)
| 110.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
| 110.001 status shop: deployed 
show
| on a: shop-web=2/web:3/default
# Back to what runs, while the update is under way: nothing has to be done, and
# the status says so at once.
image web:4 fetch=20s
deploy shop
  component web image=web:4 instances=2
| 120.000 update component shop-web@a web:4 (image web:4 replaces web:3)
| 120.000 status shop: reconciling Scaling component on 1 host(s)
run 5s
deploy shop
  component web image=web:3 instances=2
| 125.000 status shop: deployed 
run 60s
| 140.001 update component shop-web@a web:3 (image web:3 replaces web:4)
| 140.001 status shop: reconciling Scaling component on 1 host(s)
| 140.002 status shop: deployed 
show
| on a: shop-web=2/web:3/default
# And with another count: it waits for what the update makes of the host.
deploy shop
  component web image=web:4 instances=2
| 185.000 update component shop-web@a web:4 (image web:4 replaces web:3)
| 185.000 status shop: reconciling Scaling component on 1 host(s)
run 5s
deploy shop
  component web image=web:3 instances=3
| 190.000 status shop: reconciling Waiting for the end of an earlier update on host host-a (a)
run 60s
| 205.001 update component shop-web@a web:3 (image web:3 replaces web:4)
| 205.001 status shop: reconciling Scaling component on 1 host(s)
| 205.002 status shop: reconciling Waiting for the end of an earlier update on host host-a (a)
| 220.000 scale shop-web@a to 3 of web:3 (spread default wants 3 here, 2 run)
| 220.000 status shop: reconciling Scaling component on 1 host(s)
| 220.002 status shop: deployed 
show
| on a: shop-web=3/web:3/default
