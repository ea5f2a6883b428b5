# The host keeps the annotations of what it has nothing to change about. Its clock has
# gone back a little, so its event seems to be from before the command: when it has
# accepted the command for the second time that counts as done.
host a
run 25s
clock a -20ms
run 1m
deploy shop
  component web id=x image=web:1 instances=1
|  85.000 scale x@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  85.000 status shop: reconciling Scaling component on 1 host(s)
run 1m
|  85.001 status shop: deployed 
deploy shop
  component other id=x image=web:1 instances=1
| 145.000 scale x@a to 1 of web:1 (configuration or spread of x changed)
| 145.000 status shop: reconciling Scaling component on 1 host(s)
run 20m
| 265.000 status shop: failed no outcome of scale_component within 2m0s
| 265.933 scale x@a to 1 of web:1 (configuration or spread of x changed)
| 385.933 status shop: deployed 
show
| on a: x=1/web:1/default
