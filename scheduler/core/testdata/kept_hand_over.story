# A late update brings annotations of a rule whose configuration the instance does not
# have, and the host keeps them. The next owner knows, when that rule is wanted again.
host a
image web:2 fetch=150s
deploy shop
  component web image=web:1 instances=1 config=c:k=1
run 20s
|   0.102 status shop: reconciling Waiting for configuration shop-c
|   0.103 put config shop-c (the configuration does not exist)
|   0.104 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 status shop: reconciling Scaling component on 1 host(s)
|   0.105 status shop: deployed 
deploy shop
  component web image=web:2 instances=1 config=c:k=1
|  20.000 update component shop-web@a web:2 (image web:2 replaces web:1)
|  20.000 status shop: reconciling Scaling component on 1 host(s)
run 1s
deploy shop
  component web image=web:1 instances=1 config=d:k=1
|  21.000 status shop: reconciling Waiting for configuration shop-d
run 4m
|  21.001 put config shop-d (the configuration does not exist)
|  21.002 status shop: reconciling Waiting for the end of an earlier update on host host-a (a)
| 140.000 scale shop-web@a to 1 of web:1 (configuration or spread of shop-web changed)
| 140.000 status shop: reconciling Scaling component on 1 host(s)
| 140.003 delete config shop-c (nothing uses the configuration any more)
| 140.003 status shop: deployed 
| 170.001 update component shop-web@a web:1 (image web:1 replaces web:2)
| 170.001 status shop: reconciling Scaling component on 1 host(s)
| 170.002 scale shop-web@a to 1 of web:1 (configuration or spread of shop-web changed)
| 170.005 status shop: deployed 
image web:2
down
deploy shop
  component web image=web:2 instances=1 config=c:k=1
run 100ms
restart
run 1m
| 261.202 status shop: reconciling Waiting for configuration shop-c
| 261.203 put config shop-c (the configuration does not exist)
| 261.204 update component shop-web@a web:2 (image web:2 replaces web:1)
| 261.204 status shop: reconciling Scaling component on 1 host(s)
| 261.205 scale shop-web@a to 1 of web:2 (configuration or spread of shop-web changed)
| 261.207 delete config shop-d (nothing uses the configuration any more)
| 261.207 status shop: deployed 
show
| on a: shop-web=1/web:2/default
| config shop-c map[k:1]
