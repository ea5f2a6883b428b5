# A start that a previous owner stored, and perhaps never sent, is not wanted there any more.
host a zone=e
host b zone=w
run 5s
lose command scale_component 1
deploy shop
  component web image=web:1 instances=5 spread=s:zone=e
|   5.000 scale shop-web@a to 5 of web:1 (spread s wants 5 here, nothing runs)
|   5.000 status shop: reconciling Scaling component on 1 host(s)
run 100ms
down
deploy shop
  component web image=web:1 instances=1 spread=s:zone=w
run 100ms
restart
run 3m
|   5.302 scale shop-web@b to 1 of web:1 (spread s wants 1 here, nothing runs)
|   5.302 status shop: reconciling Scaling component on 1 host(s)
|   5.303 status shop: deployed 
show
| on a: 
| on b: shop-web=1/web:1/s
