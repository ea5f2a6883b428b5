# A provider's health check fails and passes again. (D-06)
host a
deploy shop
  provider http image=http:1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
health shop-http@a failed
run 10s
|  10.000 status shop: failed Unhealthy provider on 1 host(s)
health shop-http@a passed
run 10s
|  20.000 status shop: deployed 
# It fails again, and a new owner knows.
health shop-http@a failed
run 10s
|  30.000 status shop: failed Unhealthy provider on 1 host(s)
restart
run 10s
|  40.102 status shop: failed Unhealthy provider on 1 host(s)
health shop-http@a passed
run 10s
|  50.000 status shop: deployed 
restart
run 10s
|  60.102 status shop: deployed 
