# Links are compared in full and repaired, whoever changed them.
host a
deploy shop
  component web image=web:1 instances=1
  component other image=web:1 instances=1
  provider http image=http:1
  link http web wasi:http/incoming-handler config=addr:address=:8080
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-other@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|   0.103 put config shop-addr (the configuration does not exist)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s), Putting link definition between shop-http and shop-web
|   0.103 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-http and shop-web
|   0.103 status shop: reconciling Putting link definition between shop-http and shop-web
|   0.104 put link shop-http->shop-web wasi:http (the link is not there)
|   0.105 status shop: deployed 
drift shop-http
run 10s
|  10.000 put link shop-http->shop-web wasi:http (the link differs from the manifest)
|  10.000 status shop: reconciling Putting link definition between shop-http and shop-web
|  10.001 status shop: deployed 
unlink shop-http
run 10s
|  20.000 put link shop-http->shop-web wasi:http (the link is not there)
|  20.000 status shop: reconciling Putting link definition between shop-http and shop-web
|  20.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-other=1/web:1/default shop-web=1/web:1/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-addr map[address::8080]
# Another target: a host would refuse the new link while the old one is there.
deploy shop
  component web image=web:1 instances=1
  component other image=web:1 instances=1
  provider http image=http:1
  link http other wasi:http/incoming-handler config=addr:address=:8080
|  30.000 delete link shop-http->shop-web wasi:http (in the way of the link to shop-other)
|  30.000 status shop: reconciling Putting link definition between shop-http and shop-other
run 10s
|  30.001 put link shop-http->shop-other wasi:http (the link is not there)
|  30.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-other=1/web:1/default shop-web=1/web:1/default
| link shop-http->shop-other wasi:http/incoming-handler
| config shop-addr map[address::8080]
# Another configuration: the link is put with it, and the old one goes.
deploy shop
  component web image=web:1 instances=1
  component other image=web:1 instances=1
  provider http image=http:1
  link http other wasi:http/incoming-handler config=port:address=:9090
|  40.000 status shop: reconciling Putting link definition between shop-http and shop-other
run 10s
|  40.001 put config shop-port (the configuration does not exist)
|  40.002 put link shop-http->shop-other wasi:http (the link differs from the manifest)
|  40.003 delete config shop-addr (nothing uses the configuration any more)
|  40.003 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-other=1/web:1/default shop-web=1/web:1/default
| link shop-http->shop-other wasi:http/incoming-handler
| config shop-port map[address::9090]
# A second interface between the same ends is a link of its own. (D-12)
deploy shop
  component web image=web:1 instances=1
  component other image=web:1 instances=1
  provider http image=http:1
  link http other wasi:http/incoming-handler config=port:address=:9090
  link http other wasi:blobstore/blobstore
|  50.000 put link shop-http->shop-other wasi:blobstore (the link is not there)
|  50.000 status shop: reconciling Putting link definition between shop-http and shop-other
run 10s
|  50.001 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-other=1/web:1/default shop-web=1/web:1/default
| link shop-http->shop-other wasi:http/incoming-handler
| link shop-http->shop-other wasi:blobstore/blobstore
| config shop-port map[address::9090]
