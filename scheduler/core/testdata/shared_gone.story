# A shared application is undeployed while another uses its component, which has an
# id of its own. That is allowed; who uses it says so, and works again when the
# component is back.
host a
deploy base
  shared
  component store image=store:1 instances=1 id=special
deploy shop
  component web image=web:1 instances=1
  component their application=base/store
  link web their wasi:keyvalue/store
run 10s
|   0.102 put link shop-web->special wasi:keyvalue (the link is not there)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale special@a to 1 of store:1 (spread default wants 1 here, nothing runs)
|   0.102 status base: reconciling Scaling component on 1 host(s)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and special
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
|   0.103 status base: deployed 
show
| on a: shop-web=1/web:1/default special=1/store:1/default
| link shop-web->special wasi:keyvalue/store
undeploy base
|  10.000 delete link shop-web->special wasi:keyvalue (in the way of the link to base-store)
|  10.000 status base: reconciling Manifest is being undeployed
|  10.000 status shop: reconciling Putting link definition between shop-web and base-store, Shared component "store" of application "base" is not deployed
run 10s
|  10.001 put link shop-web->base-store wasi:keyvalue (the link is not there)
|  10.001 scale special@a to 0 of store:1 (no deployed application wants special of application "base")
|  10.002 status shop: deployed Shared component "store" of application "base" is not deployed
|  10.003 status base: undeployed Manifest has been undeployed
show
| on a: shop-web=1/web:1/default
| link shop-web->base-store wasi:keyvalue/store
deploy base
  shared
  component store image=store:2 instances=2 id=special
|  20.000 delete link shop-web->base-store wasi:keyvalue (no deployed application wants the link of application "shop")
|  20.000 scale special@a to 2 of store:2 (spread default wants 2 here, nothing runs)
|  20.000 status base: reconciling Scaling component on 1 host(s)
|  20.000 status shop: reconciling Putting link definition between shop-web and special
run 10s
|  20.001 put link shop-web->special wasi:keyvalue (the link is not there)
|  20.001 status base: deployed 
|  20.002 status shop: deployed 
show
| on a: shop-web=1/web:1/default special=2/store:2/default
| link shop-web->special wasi:keyvalue/store
# Another version that shares something else.
deploy base
  shared
  component shelf image=store:2 instances=2
|  30.000 delete link shop-web->special wasi:keyvalue (in the way of the link to base-store)
|  30.000 scale base-shelf@a to 2 of store:2 (spread default wants 2 here, nothing runs)
|  30.000 status base: reconciling Scaling component on 1 host(s)
|  30.000 status shop: reconciling Putting link definition between shop-web and base-store, Shared component "store" of application "base" is not deployed
run 10s
|  30.001 put link shop-web->base-store wasi:keyvalue (the link is not there)
|  30.001 scale special@a to 0 of store:2 (no deployed application wants special of application "base")
|  30.001 status base: deployed 
|  30.002 status shop: deployed Shared component "store" of application "base" is not deployed
# A reference that gives an id of its own means the shared component all the same.
deploy base
  shared
  component store image=store:2 instances=2
|  40.000 scale base-shelf@a to 0 of store:2 (no deployed application wants base-shelf of application "base")
|  40.000 scale base-store@a to 2 of store:2 (spread default wants 2 here, nothing runs)
|  40.000 status base: reconciling Scaling component on 1 host(s)
|  40.000 status shop: deployed 
deploy shop
  component web image=web:1 instances=1
  component their application=base/store id=mine
  link web their wasi:keyvalue/store
run 10s
|  40.001 status base: deployed 
show
| on a: base-store=2/store:2/default shop-web=1/web:1/default
| link shop-web->base-store wasi:keyvalue/store
