# The first list of a new owner does not show yet what its predecessor put. Another link
# of the same key is deleted meanwhile, by which a host may take away either.
lag 4s
host a
deploy shop
  component web image=web:1 instances=1
  component kv image=kv:1 instances=1
  component db image=db:1 instances=1
  link web kv wasi:http/x
run 104ms
|   0.102 put link shop-web->shop-kv wasi:http (the link is not there)
|   0.102 scale shop-db@a to 1 of db:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-kv@a to 1 of kv:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-kv, Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
lose event linkdef_set 9
restart
deploy shop
  component web image=web:1 instances=1
  component kv image=kv:1 instances=1
  component db image=db:1 instances=1
  link web db wasi:http/y
run 500ms
|   0.206 put link shop-web->shop-db wasi:http (the link is not there)
|   0.206 status shop: reconciling Putting link definition between shop-web and shop-db
|   0.207 status shop: deployed 
undeploy shop
|   0.604 delete link shop-web->shop-db wasi:http (no deployed application wants the link of application "shop")
|   0.604 scale shop-kv@a to 0 of kv:1 (no deployed application wants shop-kv of application "shop")
|   0.604 status shop: reconciling Manifest is being undeployed
run 2m
|   0.606 scale shop-db@a to 0 of db:1 (no deployed application wants shop-db of application "shop")
|   0.606 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|   0.608 status shop: undeployed Manifest has been undeployed
|   5.606 delete link shop-web->shop-db wasi:http (no deployed application wants the link of application "shop")
show
| on a: 
