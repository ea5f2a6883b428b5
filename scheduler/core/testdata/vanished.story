# A provider and a component are gone from a host that lives, and nobody said so:
# the host's next inventory tells. (D-22)
host a
deploy shop
  component web image=web:1 instances=2
  provider http image=http:1
run 15s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
lose event provider_stopped 1
remove shop-http@a
run 15s
|  20.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  20.000 status shop: reconciling Scaling provider on 1 host(s)
|  20.001 status shop: deployed 
lose event component_scaled 1
remove shop-web@a
run 15s
|  40.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  40.000 status shop: reconciling Scaling component on 1 host(s)
|  40.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
