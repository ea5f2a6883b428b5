# What is undeployed while its host is gone is undeployed when the host counts as gone.
host a
host b
deploy shop
  component web image=web:1 instances=2
run 20s
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
cut b
undeploy shop
|  20.000 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  20.000 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  20.000 status shop: reconciling Manifest is being undeployed
run 10s
|  20.253 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: shop-web=1/web:1/default
