# An image change is an update in place: one host first, the others when it has
# shown the new image. (D-17)
host a zone=e
host b zone=e
image web:1 fetch=1s
image web:2 fetch=5s
deploy shop
  component web image=web:1 instances=4
run 30s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   1.103 status shop: reconciling Scaling component on 1 host(s)
|   1.103 status shop: deployed 
deploy shop
  component web image=web:2 instances=4
|  30.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  30.000 status shop: reconciling Scaling component on 1 host(s)
run 60s
|  35.001 update component shop-web@b web:2 (image web:2 replaces web:1)
|  40.002 status shop: deployed 
show
| on a: shop-web=2/web:2/default
| on b: shop-web=2/web:2/default

# An image that does not exist changes nothing; the old one keeps serving.
image web:3 fail=not_found
deploy shop
  component web image=web:3 instances=4
|  90.000 update component shop-web@a web:3 (image web:3 replaces web:2)
|  90.000 status shop: reconciling Scaling component on 1 host(s)
run 200s
| 210.000 update component shop-web@b web:3 (image web:3 replaces web:2)
| 210.000 status shop: failed host host-a (a) has not taken image web:3 within 2m0s; the old version keeps serving
show
| on a: shop-web=2/web:2/default
| on b: shop-web=2/web:2/default

# Image, count and configuration at once.
deploy shop
  component web image=web:1 instances=6 config=lang:l=de
| 290.000 status shop: reconciling Waiting for configuration shop-lang
run 30s
| 290.001 put config shop-lang (the configuration does not exist)
| 290.002 update component shop-web@a web:1 (image web:1 replaces web:2)
| 290.002 status shop: reconciling Scaling component on 1 host(s)
| 291.003 update component shop-web@b web:1 (image web:1 replaces web:2)
| 291.003 scale shop-web@a to 3 of web:1 (spread default wants 3 here, 2 run)
| 291.003 status shop: reconciling Scaling component on 2 host(s)
| 291.005 status shop: reconciling Scaling component on 1 host(s)
| 292.004 status shop: reconciling Waiting for the end of an earlier update on host host-b (b)
show
| on a: shop-web=3/web:1/default
| on b: shop-web=2/web:1/default
| config shop-lang map[l:de]
