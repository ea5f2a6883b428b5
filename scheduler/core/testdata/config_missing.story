# A configuration that someone else should provide is missing: what needs it waits
# and says so; it starts when the configuration is there. (D-16)
host a
deploy shop
  component web image=web:1 instances=2 config=theirs
  component other image=web:1 instances=1
run 1m
|   0.102 scale shop-other@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Waiting for configuration theirs, Scaling component on 1 host(s)
|   0.103 status shop: failed Specified configuration theirs does not exist, Scaling component on 1 host(s)
|   0.103 status shop: failed Specified configuration theirs does not exist
config theirs k=v
run 10s
|  60.001 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  60.001 status shop: reconciling Scaling component on 1 host(s)
|  60.002 status shop: deployed 
show
| on a: shop-other=1/web:1/default shop-web=2/web:1/default
| config theirs map[k:v]
undeploy shop
|  70.000 scale shop-other@a to 0 of web:1 (no deployed application wants shop-other of application "shop")
|  70.000 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  70.000 status shop: reconciling Manifest is being undeployed
run 10s
|  70.002 status shop: undeployed Manifest has been undeployed
show
| on a: 
| config theirs map[k:v]
