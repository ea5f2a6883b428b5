# A spread got another name and the host kept the annotations. A long compile moves nothing.
host a zone=e
host b zone=e
deploy shop
  component web image=web:1 instances=1 spread=east:zone=e
run 20s
|   0.102 scale shop-web@a to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  component web image=web:1 instances=1 spread=west:zone=e
|  20.000 scale shop-web@a to 1 of web:1 (configuration or spread of shop-web changed)
|  20.000 status shop: reconciling Scaling component on 1 host(s)
run 22s
|  20.003 status shop: deployed 
mute a 15s
run 13s
deploy shop
  component web image=web:1 instances=1 spread=west:zone=e
  component x image=x:1 instances=1 spread=west:zone=e
|  55.000 scale shop-x@b to 1 of x:1 (spread west wants 1 here, nothing runs)
|  55.000 status shop: reconciling Scaling component on 1 host(s)
run 1m
|  55.001 status shop: deployed 
show
| on a: shop-web=1/web:1/east
| on b: shop-x=1/x:1/west
