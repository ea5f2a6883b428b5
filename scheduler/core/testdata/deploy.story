# Three hosts, one application: a component spread evenly, a provider, a link
# with a configuration. Everything goes out at once except what needs the
# configuration. (D-13)
host a zone=e
host b zone=e
host c zone=w
run 1s
image web:1 fetch=3s
deploy shop
  component web image=web:1 instances=5
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
|   1.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   1.000 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   1.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   1.000 scale shop-web@c to 2 of web:1 (spread default wants 2 here, nothing runs)
|   1.000 status shop: reconciling Scaling component on 3 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
run 10s
|   1.001 put config shop-addr (the configuration does not exist)
|   1.001 status shop: reconciling Scaling component on 3 host(s), Putting link definition between shop-http and shop-web
|   1.002 put link shop-http->shop-web wasi:http (the link is not there)
|   1.003 status shop: reconciling Scaling component on 3 host(s)
|   4.001 status shop: reconciling Scaling component on 2 host(s)
|   4.001 status shop: reconciling Scaling component on 1 host(s)
|   4.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=1/web:1/default
| on b: shop-web=2/web:1/default
| on c: shop-web=2/web:1/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]

# Nothing more happens.
run 10m

# Scaling down takes from the most loaded.
deploy shop
  component web image=web:1 instances=2
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
| 611.000 scale shop-web@b to 1 of web:1 (spread default wants 1 here, 2 run)
| 611.000 scale shop-web@c to 0 of web:1 (host host-c (c) is not, or no longer, needed for shop-web)
| 611.000 status shop: reconciling Scaling component on 2 host(s)
run 10s
| 611.002 status shop: reconciling Removing components from 1 host(s)
| 611.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=1/web:1/default
| on b: shop-web=1/web:1/default
| on c: 
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]

undeploy shop
| 621.000 delete link shop-http->shop-web wasi:http (no deployed application wants the link of application "shop")
| 621.000 status shop: reconciling Manifest is being undeployed
run 10s
| 621.001 delete config shop-addr (nothing uses the configuration any more)
| 621.001 stop provider shop-http@a  (no deployed application wants shop-http of application "shop")
| 621.001 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
| 621.001 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
| 621.003 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
| on c: 
