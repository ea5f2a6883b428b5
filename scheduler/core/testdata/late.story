# A busy host is asked to put a configuration and a link, another one does it in its
# place, and everything is undeployed. Then the busy host does what it was asked:
# what comes back goes again.
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
run 3s
|   1.001 put config shop-lang (the configuration does not exist)
|   3.001 status shop: failed no answer to put_link
|   3.912 put link shop-web->shop-next wasi:http (the link is not there)
|   3.912 status shop: reconciling Putting link definition between shop-web and shop-next
|   3.953 put config shop-lang (the configuration does not exist)
unlucky
run 5s
|   5.913 status shop: failed no answer to put_link
|   7.446 put link shop-web->shop-next wasi:http (the link is not there)
|   7.446 status shop: reconciling Putting link definition between shop-web and shop-next
|   7.447 status shop: deployed 
|   7.642 put config shop-lang (the configuration does not exist)
show
| on a: 
| on b: 
| link shop-web->shop-next wasi:http/handler
| config shop-lang map[l:de]
undeploy shop
|   9.000 delete config shop-lang (nothing uses the configuration any more)
|   9.000 delete link shop-web->shop-next wasi:http (no deployed application wants the link of application "shop")
|   9.000 status shop: reconciling Manifest is being undeployed
run 5s
|   9.001 status shop: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
run 60s
|  41.000 delete link shop-web->shop-next wasi:http (no deployed application wants the link of application "shop")
|  41.001 delete config shop-lang (nothing uses the configuration any more)
show
| on a: 
| on b: 
