# One application uses a component of another.
host a
deploy base
  shared
  component store image=store:1 instances=1
run 10s
|   0.102 scale base-store@a to 1 of store:1 (spread default wants 1 here, nothing runs)
|   0.102 status base: reconciling Scaling component on 1 host(s)
|   0.103 status base: deployed 
deploy shop
  component web image=web:1 instances=1
  component their application=base/store
  link web their wasi:keyvalue/store
|  10.000 put link shop-web->base-store wasi:keyvalue (the link is not there)
|  10.000 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  10.000 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and base-store
run 10s
|  10.001 status shop: reconciling Scaling component on 1 host(s)
|  10.001 status shop: deployed 
show
| on a: base-store=1/store:1/default shop-web=1/web:1/default
| link shop-web->base-store wasi:keyvalue/store
undeploy shop
|  20.000 delete link shop-web->base-store wasi:keyvalue (no deployed application wants the link of application "shop")
|  20.000 status shop: reconciling Manifest is being undeployed
run 10s
|  20.001 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  20.003 status shop: undeployed Manifest has been undeployed
show
| on a: base-store=1/store:1/default
