# A new image with the configuration of the old one: the configuration is there
# all the time. (D-14)
host a
host b
image web:2 fetch=5s
deploy shop
  component web image=web:1 instances=2 config=lang:l=de
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
run 10s
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
deploy shop
  component web image=web:2 instances=2 config=lang:l=de
  provider http image=http:2
  link http web wasi:http/incoming-handler config=addr:address=:8080
|  10.000 start provider shop-http@b http:2 (takes over from the one on host host-a (a), which runs http:1)
|  10.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  10.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
run 10m
|  10.001 stop provider shop-http@a  (host host-a (a) is not, or no longer, needed for shop-http)
|  10.002 status shop: reconciling Scaling component on 1 host(s)
|  15.001 update component shop-web@b web:2 (image web:2 replaces web:1)
|  20.002 status shop: deployed 
show
| on a: shop-web=1/web:2/default
| on b: shop-http=1/http:2/default shop-web=1/web:2/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]
| config shop-lang map[l:de]
