# A value changes: the configuration is put, nothing is restarted. Someone else
# changes or deletes it: it is put again. (D-14)
host a
deploy shop
  component web image=web:1 instances=2 config=lang:l=de
run 10s
|   0.102 status shop: reconciling Waiting for configuration shop-lang
|   0.103 put config shop-lang (the configuration does not exist)
|   0.104 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.104 status shop: reconciling Scaling component on 1 host(s)
|   0.105 status shop: deployed 
deploy shop
  component web image=web:1 instances=2 config=lang:l=en
|  10.000 put config shop-lang (the configuration differs from the manifest)
run 10s
config shop-lang l=xx
run 10s
|  20.001 put config shop-lang (the configuration differs from the manifest)
config shop-lang
run 10s
|  30.001 put config shop-lang (the configuration does not exist)
show
| on a: shop-web=2/web:1/default
| config shop-lang map[l:en]
# Another name: what runs gets it, the old one goes afterwards.
deploy shop
  component web image=web:1 instances=2 config=tongue:l=en
|  40.000 status shop: reconciling Waiting for configuration shop-tongue
run 10s
|  40.001 put config shop-tongue (the configuration does not exist)
|  40.002 scale shop-web@a to 2 of web:1 (configuration or spread of shop-web changed)
|  40.002 status shop: reconciling Scaling component on 1 host(s)
|  40.005 delete config shop-lang (nothing uses the configuration any more)
|  40.005 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| config shop-tongue map[l:en]
