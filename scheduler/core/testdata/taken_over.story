# A lattice is taken over at rest and then undeployed: the new owner knows what its
# predecessor made.
host a
host b
deploy shop
  component web image=web:1 instances=2 config=lang:l=de
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
run 30s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Waiting for configuration shop-lang, Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|   0.103 put config shop-addr (the configuration does not exist)
|   0.103 put config shop-lang (the configuration does not exist)
|   0.103 status shop: reconciling Waiting for configuration shop-lang, Putting link definition between shop-http and shop-web
|   0.104 put link shop-http->shop-web wasi:http (the link is not there)
|   0.104 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web
|   0.105 status shop: reconciling Scaling component on 2 host(s)
|   0.105 status shop: reconciling Scaling component on 1 host(s)
|   0.105 status shop: deployed 
restart
run 30s
|  30.102 status shop: deployed 
undeploy shop
|  60.000 delete link shop-http->shop-web wasi:http (no deployed application wants the link of application "shop")
|  60.000 status shop: reconciling Manifest is being undeployed
run 30s
|  60.001 delete config shop-addr (nothing uses the configuration any more)
|  60.001 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  60.001 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  60.001 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  60.003 delete config shop-lang (nothing uses the configuration any more)
|  60.004 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
