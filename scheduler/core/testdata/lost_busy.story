# A host is busy for so long that it is given up. What it was asked before still
# happens when it is back: nothing else is asked of it for the same workload
# until that is known.
host a
host b
run 25s
image web:1 fetch=60s mutes=true
deploy shop
  component web image=web:1 instances=2
|  25.000 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  25.000 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  25.000 status shop: reconciling Scaling component on 2 host(s)
run 50s
|  41.000 status shop: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found.
deploy shop
  component web image=web:2 instances=2
|  75.000 status shop: failed Could not satisfy spread default for web:2, 0/1 eligible hosts found.
run 60s
|  85.001 update component shop-web@a web:2 (image web:2 replaces web:1)
|  85.001 status shop: reconciling Scaling component on 1 host(s)
|  85.002 update component shop-web@b web:2 (image web:2 replaces web:1)
|  85.003 status shop: deployed 
show
| on a: shop-web=1/web:2/default
| on b: shop-web=1/web:2/default
