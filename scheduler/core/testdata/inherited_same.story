# A command of a previous owner is in doubt, and the host keeps the annotations. It is sent
# again, since only what this owner has heard to be accepted can have been carried out.
host a
deploy shop
  component web id=x image=web:1 instances=1
run 20s
|   0.102 scale x@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  component other id=x image=web:1 instances=1
|  20.000 scale x@a to 1 of web:1 (configuration or spread of x changed)
|  20.000 status shop: reconciling Scaling component on 1 host(s)
restart
run 10m
|  20.102 status shop: reconciling Scaling component on 1 host(s)
|  30.000 scale x@a to 1 of web:1 (configuration or spread of x changed)
|  30.003 status shop: deployed 
show
| on a: x=1/web:1/default
