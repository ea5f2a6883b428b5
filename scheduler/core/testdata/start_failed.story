# A start fails; it is tried again with growing waits on at most two hosts, and the
# status says what the host said. Then the image is there. (D-25)
host a
host b
host c
image web:1 fail=no_such_image
deploy shop
  component web image=web:1 instances=2
run 1m
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.103 status shop: failed no such image
|   1.033 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   1.033 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|   2.607 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   2.607 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   4.390 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   4.390 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|   7.529 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   7.529 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  14.714 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  14.714 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  21.727 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  21.727 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  34.873 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  34.873 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
image web:1
run 1m
|  62.419 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  62.419 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  62.420 status shop: deployed 
show
| on a: shop-web=1/web:1/default
| on b: 
| on c: shop-web=1/web:1/default
