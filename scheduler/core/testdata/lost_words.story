# Events and commands get lost; what the hosts list repairs it.
host a
host b
run 1s
lose event component_scaled 4
deploy shop
  component web image=web:1 instances=4
|   1.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   1.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   1.000 status shop: reconciling Scaling component on 2 host(s)
run 30s
|  10.000 status shop: reconciling Scaling component on 1 host(s)
|  10.000 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
lose command scale_component 2
deploy shop
  component web image=web:1 instances=8
|  31.000 scale shop-web@a to 4 of web:1 (spread default wants 4 here, 2 run)
|  31.000 scale shop-web@b to 4 of web:1 (spread default wants 4 here, 2 run)
|  31.000 status shop: reconciling Scaling component on 2 host(s)
run 4m
| 151.000 status shop: failed no outcome of scale_component within 2m0s
| 151.930 scale shop-web@a to 4 of web:1 (spread default wants 4 here, 2 run)
| 151.998 scale shop-web@b to 4 of web:1 (spread default wants 4 here, 2 run)
| 152.000 status shop: deployed 
show
| on a: shop-web=4/web:1/default
| on b: shop-web=4/web:1/default
lose event component_scaled 1
remove shop-web@a
run 30s
| 280.000 scale shop-web@a to 4 of web:1 (spread default wants 4 here, nothing runs)
| 280.000 status shop: reconciling Scaling component on 1 host(s)
| 280.001 status shop: deployed 
show
| on a: shop-web=4/web:1/default
| on b: shop-web=4/web:1/default
lose command put_link 1
deploy shop
  component web image=web:1 instances=8
  component next image=web:1 instances=1
  link web next wasi:http/handler
| 301.000 put link shop-web->shop-next wasi:http (the link is not there)
| 301.000 scale shop-next@a to 1 of web:1 (spread default wants 1 here, nothing runs)
| 301.000 status shop: reconciling Putting link definition between shop-web and shop-next, Scaling component on 1 host(s)
run 30s
| 301.001 status shop: reconciling Putting link definition between shop-web and shop-next
| 303.001 status shop: failed no answer to put_link
| 303.912 put link shop-web->shop-next wasi:http (the link is not there)
| 303.912 status shop: reconciling Putting link definition between shop-web and shop-next
| 303.913 status shop: deployed 
show
| on a: shop-next=1/web:1/default shop-web=4/web:1/default
| on b: shop-web=4/web:1/default
| link shop-web->shop-next wasi:http/handler
