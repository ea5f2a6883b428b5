# An operator updates past us, and the host forgets whose it is: it is left alone
# like anybody else's until it is gone.
host a
deploy shop
  component web image=web:1 instances=2
run 10s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
hand update shop-web@a web:9
run 20s
|  10.000 status shop: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found.
hand scale shop-web@a web:1 5
run 20s
hand scale shop-web@a web:1 0
run 20s
|  50.001 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  50.001 status shop: reconciling Scaling component on 1 host(s)
|  50.002 status shop: deployed 
show
| on a: shop-web=2/web:1/default
# An operator scales or stops what is ours: what the manifest says comes back.
remove shop-web@a
run 20s
|  70.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  70.000 status shop: reconciling Scaling component on 1 host(s)
|  70.001 status shop: deployed 
