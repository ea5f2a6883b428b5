# Growth fills the least loaded places, shrinkage takes from the most loaded; what
# needs no change is not touched. (D-01, D-03)
host a
host b
host c
deploy shop
  component web image=web:1 instances=3
run 10s
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 3 host(s)
|   0.103 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
deploy shop
  component web image=web:1 instances=7
|  10.000 scale shop-web@a to 3 of web:1 (spread default wants 3 here, 1 run)
|  10.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, 1 run)
|  10.000 scale shop-web@c to 2 of web:1 (spread default wants 2 here, 1 run)
|  10.000 status shop: reconciling Scaling component on 3 host(s)
run 10s
|  10.002 status shop: reconciling Scaling component on 2 host(s)
|  10.002 status shop: reconciling Scaling component on 1 host(s)
|  10.002 status shop: deployed 
show
| on a: shop-web=3/web:1/default
| on b: shop-web=2/web:1/default
| on c: shop-web=2/web:1/default
deploy shop
  component web image=web:1 instances=4
|  20.000 scale shop-web@a to 1 of web:1 (spread default wants 1 here, 3 run)
|  20.000 scale shop-web@c to 1 of web:1 (spread default wants 1 here, 2 run)
|  20.000 status shop: reconciling Scaling component on 2 host(s)
run 10s
|  20.002 status shop: reconciling Scaling component on 1 host(s)
|  20.002 status shop: deployed 
show
| on a: shop-web=1/web:1/default
| on b: shop-web=2/web:1/default
| on c: shop-web=1/web:1/default
# Nothing is wanted: the application stays deployed, nothing runs.
deploy shop
  component web image=web:1 instances=0
|  30.000 scale shop-web@a to 0 of web:1 (host host-a (a) is not, or no longer, needed for shop-web)
|  30.000 scale shop-web@b to 0 of web:1 (host host-b (b) is not, or no longer, needed for shop-web)
|  30.000 scale shop-web@c to 0 of web:1 (host host-c (c) is not, or no longer, needed for shop-web)
|  30.000 status shop: reconciling Scaling component on 3 host(s)
run 10s
|  30.002 status shop: reconciling Removing components from 2 host(s)
|  30.002 status shop: reconciling Removing components from 1 host(s)
|  30.002 status shop: deployed 
show
| on a: 
| on b: 
| on c: 
