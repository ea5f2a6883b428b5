# Deployed before there is any host.
deploy shop
  component web image=web:1 instances=2 config=lang:l=de
  provider http image=http:1
  link http web wasi:http/incoming-handler
run 30s
|   0.101 status shop: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found., Putting link definition between shop-http and shop-web, Could not satisfy spread default for http:1, 0/1 eligible hosts found.
host a
run 10s
|  30.000 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  30.000 status shop: reconciling Waiting for configuration shop-lang, Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|  30.001 put link shop-http->shop-web wasi:http (the link is not there)
|  30.001 put config shop-lang (the configuration does not exist)
|  30.001 status shop: reconciling Waiting for configuration shop-lang, Putting link definition between shop-http and shop-web
|  30.002 status shop: reconciling Waiting for configuration shop-lang
|  30.002 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  30.002 status shop: reconciling Scaling component on 1 host(s)
|  30.003 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| link shop-http->shop-web wasi:http/incoming-handler
| config shop-lang map[l:de]
kill a
run 60s
|  70.752 status shop: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found., Could not satisfy spread default for http:1, 0/1 eligible hosts found.
undeploy shop
| 100.000 status shop: reconciling Manifest is being undeployed
run 30s
