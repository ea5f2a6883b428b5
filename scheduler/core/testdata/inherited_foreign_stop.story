# A stop that a previous owner stored may not have been sent. By the time it would be
# sent again someone else runs something under the id.
host a
deploy shop
  component web image=web:1 instances=1
run 5s
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
lose command scale_component 1
undeploy shop
|   5.000 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|   5.000 status shop: reconciling Manifest is being undeployed
run 100ms
down
remove shop-web@a
foreign shop-web@a image=their:1
run 100ms
restart
run 3m
|   5.302 status shop: reconciling Manifest is being undeployed
| 125.000 status shop: undeployed Manifest has been undeployed
show
| on a: shop-web=1/their:1/
