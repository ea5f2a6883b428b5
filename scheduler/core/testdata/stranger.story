# Somebody scales to zero what was never there, and their own work, which carries
# an id that is wanted later: nothing of either is left in the books. (D-21)
host a
run 1s
hand scale shop-web@a their:1 0
foreign shop-web@a image=their:1
run 15s
hand scale shop-web@a their:1 0
run 1s
deploy shop
  component web image=web:1 instances=2
|  17.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  17.000 status shop: reconciling Scaling component on 1 host(s)
run 30s
|  17.001 status shop: deployed 
show
| on a: shop-web=2/web:1/default
