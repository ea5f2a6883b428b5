# A clock that goes back a little is not taken for events from before a command: the
# failure is told when it happens.
host a
run 25s
clock a -20ms
run 1m
image http:1 fail=no_such_image
deploy shop
  provider http image=http:1
|  85.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  85.000 status shop: reconciling Scaling provider on 1 host(s)
run 1s
|  85.001 status shop: failed no such image
|  85.789 start provider shop-http@a http:1 (spread default wants it here, it does not run)
image http:1
run 4m
|  87.506 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  87.507 status shop: deployed 
show
| on a: shop-http=1/http:1/default
