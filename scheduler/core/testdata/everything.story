# Count, image and configuration change together: update first, then scale.
host a
host b
image web:2 fetch=4s
deploy shop
  component web image=web:1 instances=2 config=lang:l=de
run 10s
|   0.102 status shop: reconciling Waiting for configuration shop-lang
|   0.103 put config shop-lang (the configuration does not exist)
|   0.104 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 status shop: reconciling Scaling component on 2 host(s)
|   0.105 status shop: reconciling Scaling component on 1 host(s)
|   0.105 status shop: deployed 
deploy shop
  component web image=web:2 instances=5 config=tongue:l=en
|  10.000 status shop: reconciling Waiting for configuration shop-tongue
run 30s
|  10.001 put config shop-tongue (the configuration does not exist)
|  10.002 update component shop-web@a web:2 (image web:2 replaces web:1)
|  10.002 status shop: reconciling Scaling component on 1 host(s)
|  14.003 update component shop-web@b web:2 (image web:2 replaces web:1)
|  14.003 scale shop-web@a to 3 of web:2 (spread default wants 3 here, 1 run)
|  14.003 status shop: reconciling Scaling component on 2 host(s)
|  14.005 status shop: reconciling Scaling component on 1 host(s)
|  18.004 scale shop-web@b to 2 of web:2 (spread default wants 2 here, 1 run)
|  18.006 delete config shop-lang (nothing uses the configuration any more)
|  18.006 status shop: deployed 
show
| on a: shop-web=3/web:2/default
| on b: shop-web=2/web:2/default
| config shop-tongue map[l:en]
