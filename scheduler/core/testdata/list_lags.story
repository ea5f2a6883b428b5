# A list of links that was taken before a deletion arrives after it: it brings
# nothing back, so that a new deployment puts its link at once.
host a
lag 50ms
deploy shop
  component web image=web:1 instances=1
  component next image=web:1 instances=1
  link web next wasi:http/handler
run 10s
|   0.102 put link shop-web->shop-next wasi:http (the link is not there)
|   0.102 scale shop-next@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-next, Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
undeploy shop
|  10.000 delete link shop-web->shop-next wasi:http (no deployed application wants the link of application "shop")
|  10.000 status shop: reconciling Manifest is being undeployed
run 2ms
|  10.001 scale shop-next@a to 0 of web:1 (no deployed application wants shop-next of application "shop")
|  10.001 scale shop-web@a to 0 of web:1 (no deployed application wants shop-web of application "shop")
gap
run 10ms
|  10.003 status shop: undeployed Manifest has been undeployed
deploy shop
  component web image=web:1 instances=1
  component next image=web:1 instances=1
  link web next wasi:http/handler
|  10.012 put link shop-web->shop-next wasi:http (the link is not there)
|  10.012 scale shop-next@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  10.012 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  10.012 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and shop-next, Scaling component on 1 host(s)
run 30s
|  10.013 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s)
|  10.013 status shop: reconciling Scaling component on 1 host(s)
|  10.013 status shop: deployed 
show
| on a: shop-next=1/web:1/default shop-web=1/web:1/default
| link shop-web->shop-next wasi:http/handler
