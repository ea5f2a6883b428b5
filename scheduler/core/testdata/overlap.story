# Two spreads of which one fits every host and the other one host only: both are
# satisfied, whichever is served first.
host a
host b zone=e
deploy shop
  component web image=web:1 instances=4 spread=any: spread=east:zone=e
run 10s
|   0.102 scale shop-web@a to 2 of web:1 (spread any wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread east wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-web=2/web:1/any
| on b: shop-web=2/web:1/east
