# A daemon scaler tells of hosts on which someone else's work under its id keeps
# it from running, until that has gone.
host a
host b
run 5s
foreign shop-web@a image=their:1
run 1s
deploy shop
  component web image=web:1 daemon=2
|   6.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   6.000 status shop: failed Could not satisfy daemonscaler default for web:1, 1/2 eligible hosts found.
run 10s
show
| on a: shop-web=1/their:1/
| on b: shop-web=2/web:1/default
remove shop-web@a
run 10s
|  16.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  16.000 status shop: reconciling Scaling component on 1 host(s)
|  16.001 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
