# The same for a start.
host a
run 5s
lose command scale_component 1
deploy shop
  component web image=web:1 instances=1
|   5.000 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   5.000 status shop: reconciling Scaling component on 1 host(s)
run 100ms
down
foreign shop-web@a image=their:1
restart
run 3m
|   5.202 status shop: reconciling Scaling component on 1 host(s)
| 125.000 status shop: failed no outcome of scale_component within 2m0s Could not satisfy spread default for web:1, 0/1 eligible hosts found.
show
| on a: shop-web=1/their:1/
