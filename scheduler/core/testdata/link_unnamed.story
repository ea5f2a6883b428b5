# A link whose name is empty is the default one for hosts, and so for us: it is put once.
host a
deploy shop
  component web image=web:1 instances=1
  provider kv image=kv:1
  link web kv a:b/c name=
run 10s
|   0.102 put link shop-web->shop-kv a:b (the link is not there)
|   0.102 start provider shop-kv@a kv:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-kv, Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
gap
run 10s
