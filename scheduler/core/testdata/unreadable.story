# The record of a deployed application can no longer be read: everything stays as
# it is, also with a new owner, and the status says so.
host a
host b
image web:1 fetch=1s
deploy shop
  component web image=web:1 instances=2
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
run 30s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|   0.103 put config shop-addr (the configuration does not exist)
|   0.103 status shop: reconciling Scaling component on 2 host(s), Putting link definition between shop-http and shop-web
|   0.104 put link shop-http->shop-web wasi:http (the link is not there)
|   0.105 status shop: reconciling Scaling component on 2 host(s)
|   1.103 status shop: reconciling Scaling component on 1 host(s)
|   1.103 status shop: deployed 
unreadable shop
run 1m
restart
run 1m
|  90.102 status shop: failed The stored manifest cannot be read; what runs is left as it is
show
| on a: shop-http=1/http:1/default shop-web=1/web:1/default
| on b: shop-web=1/web:1/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]

# It can be read again.
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
| 150.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, 1 run)
| 150.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, 1 run)
| 150.000 status shop: reconciling Scaling component on 2 host(s)
run 30s
| 150.002 status shop: reconciling Scaling component on 1 host(s)
| 150.002 status shop: deployed 
