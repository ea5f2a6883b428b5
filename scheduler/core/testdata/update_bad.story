# An image that cannot be had is tried on two hosts only, one at a time: a host says
# nothing of an update that fails, so a second one tells a bad host from a bad image,
# and a third would tell no more. The old version keeps serving on all.
host a
host b
host c
host d
deploy shop
  component web image=web:1 instances=4
run 10s
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@d to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 4 host(s)
|   0.103 status shop: reconciling Scaling component on 3 host(s)
|   0.103 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
image web:2 fail=no_such_image
deploy shop
  component web image=web:2 instances=4
|  10.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 12m
| 130.000 update component shop-web@b web:2 (image web:2 replaces web:1)
| 130.000 status shop: failed host host-a (a) has not taken image web:2 within 2m0s; the old version keeps serving
| 250.000 update component shop-web@a web:2 (image web:2 replaces web:1)
| 250.000 status shop: failed host host-a (a) has not taken image web:2 within 2m0s; the old version keeps serving host host-b (b) has not taken image web:2 within 2m0s; the old version keeps serving
| 370.000 update component shop-web@b web:2 (image web:2 replaces web:1)
| 490.000 update component shop-web@a web:2 (image web:2 replaces web:1)
| 610.000 update component shop-web@b web:2 (image web:2 replaces web:1)
show
| on a: shop-web=1/web:1/default
| on b: shop-web=1/web:1/default
| on c: shop-web=1/web:1/default
| on d: shop-web=1/web:1/default
