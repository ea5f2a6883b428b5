# The owner dies in the middle of a deploy; the next one finishes it and starts
# nothing twice.
host a
host b
image web:1 fetch=5s
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
run 1s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|   0.103 put config shop-addr (the configuration does not exist)
|   0.103 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web
|   0.104 put link shop-http->shop-web wasi:http (the link is not there)
|   0.105 status shop: reconciling Scaling component on 2 host(s)
restart
run 30s
|   1.102 status shop: reconciling Scaling component on 2 host(s)
|   5.103 status shop: reconciling Scaling component on 1 host(s)
|   5.103 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]

# It dies in the middle of an undeploy; nothing is left behind.
undeploy shop
|  31.000 delete link shop-http->shop-web wasi:http (no deployed application wants the link of application "shop")
|  31.000 status shop: reconciling Manifest is being undeployed
restart
run 30s
|  31.102 delete config shop-addr (nothing uses the configuration any more)
|  31.102 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
|  31.102 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  31.102 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  31.102 status shop: reconciling Manifest is being undeployed
|  31.105 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 

# And it dies while everything is undeployed behind its back.
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
|  61.000 put config shop-addr (the configuration does not exist)
|  61.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  61.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  61.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|  61.000 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
run 30s
|  61.001 put link shop-http->shop-web wasi:http (the link is not there)
|  61.001 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web
|  61.002 status shop: reconciling Scaling component on 2 host(s)
|  66.001 status shop: reconciling Scaling component on 1 host(s)
|  66.001 status shop: deployed 
