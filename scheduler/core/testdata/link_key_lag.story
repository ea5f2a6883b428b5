# One of two links of a key is deleted, and the lists lag: it is deleted once, and the
# other one is put again if the host took that.
host a
deploy shop
  component web image=web:1 instances=1
  component kv image=kv:1 instances=1
  component db image=db:1 instances=1
  link web kv wasi:http/x
  link web db wasi:http/y
run 20s
|   0.102 put link shop-web->shop-db wasi:http (the link is not there)
|   0.102 put link shop-web->shop-kv wasi:http (the link is not there)
|   0.102 scale shop-db@a to 1 of db:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-kv@a to 1 of kv:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-kv, Putting link definition between shop-web and shop-db, Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-kv, Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
lag 4s
lose event linkdef_deleted 9
deploy shop
  component web image=web:1 instances=1
  component kv image=kv:1 instances=1
  component db image=db:1 instances=1
  link web db wasi:http/y
|  20.000 delete link shop-web->shop-kv wasi:http (no deployed application wants the link of application "shop")
|  20.000 status shop: deployed 
run 30s
|  25.002 put link shop-web->shop-db wasi:http (the link is not there)
|  25.002 delete link shop-web->shop-kv wasi:http (no deployed application wants the link of application "shop")
|  25.002 status shop: reconciling Putting link definition between shop-web and shop-db
|  25.003 status shop: deployed 
|  25.004 put link shop-web->shop-db wasi:http (the link is not there)
|  25.004 status shop: reconciling Putting link definition between shop-web and shop-db
|  25.005 status shop: deployed 
show
| on a: shop-db=1/db:1/default shop-kv=1/kv:1/default shop-web=1/web:1/default
| link shop-web->shop-db wasi:http/y
