# A busy host is asked to put a configuration and a link, and to delete them the next
# time; each time another owner takes over before it answers, and wants the opposite.
# It asks nobody to wait, and undoes what the host does late.
host a
host b
run 1s
mute a 40s
unlucky a
deploy shop
  component web image=web:1 instances=0 config=lang:l=de
  component next image=web:1 instances=0
  link web next wasi:http/handler
|   1.000 put link shop-web->shop-next wasi:http (the link is not there)
|   1.000 status shop: reconciling Putting link definition between shop-web and shop-next
run 500ms
|   1.001 put config shop-lang (the configuration does not exist)
unlucky
restart
undeploy shop
run 10s
|   1.602 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
run 2m
|  41.000 delete link shop-web->shop-next wasi:http (no deployed application wants the link of application "shop")
|  41.001 delete config shop-lang (nothing uses the configuration any more)
show
| on a: 
| on b: 
deploy shop
  component web image=web:1 instances=0 config=lang:l=de
  component next image=web:1 instances=0
  link web next wasi:http/handler
| 131.500 put link shop-web->shop-next wasi:http (the link is not there)
| 131.500 status shop: reconciling Putting link definition between shop-web and shop-next
run 3m
| 131.501 status shop: deployed 
| 131.501 put config shop-lang (the configuration does not exist)
show
| on a: 
| on b: 
| link shop-web->shop-next wasi:http/handler
| config shop-lang map[l:de]
mute a 40s
unlucky a
undeploy shop
| 311.500 delete config shop-lang (nothing uses the configuration any more)
| 311.500 delete link shop-web->shop-next wasi:http (no deployed application wants the link of application "shop")
| 311.500 status shop: reconciling Manifest is being undeployed
run 500ms
unlucky
restart
deploy shop
  component web image=web:1 instances=0 config=lang:l=de
  component next image=web:1 instances=0
  link web next wasi:http/handler
run 10s
| 312.102 status shop: deployed 
show
| on a: 
| on b: 
| link shop-web->shop-next wasi:http/handler
| config shop-lang map[l:de]
run 2m
| 351.500 put link shop-web->shop-next wasi:http (the link is not there)
| 351.500 status shop: reconciling Putting link definition between shop-web and shop-next
| 351.501 put config shop-lang (the configuration does not exist)
| 351.501 status shop: deployed 
show
| on a: 
| on b: 
| link shop-web->shop-next wasi:http/handler
| config shop-lang map[l:de]
