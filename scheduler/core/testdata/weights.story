# All weights zero count as equal; otherwise the heaviest is served first. (D-04)
host a zone=e
host b zone=w
deploy shop
  component web image=web:1 instances=5 spread=east:zone=e,weight=0 spread=west:zone=w,weight=0
run 10s
|   0.102 scale shop-web@a to 3 of web:1 (spread east wants 3 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread west wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-web=3/web:1/east
| on b: shop-web=2/web:1/west
deploy shop
  component web image=web:1 instances=10 spread=east:zone=e,weight=30 spread=west:zone=w,weight=70
|  10.000 scale shop-web@b to 7 of web:1 (spread west wants 7 here, 2 run)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
|  10.002 status shop: deployed 
show
| on a: shop-web=3/web:1/east
| on b: shop-web=7/web:1/west
