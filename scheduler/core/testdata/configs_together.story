# A component with several configurations is started when the last of them is
# there, whichever that is. (D-15)
host a
deploy shop
  component web image=web:1 instances=2 config=one:k=1 config=theirs config=three:k=3
run 30s
|   0.102 status shop: reconciling Waiting for configuration shop-one
|   0.103 put config shop-one (the configuration does not exist)
|   0.103 put config shop-three (the configuration does not exist)
|   0.104 status shop: failed Specified configuration theirs does not exist
config theirs k=2
run 30s
|  30.001 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  30.001 status shop: reconciling Scaling component on 1 host(s)
|  30.002 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| config shop-one map[k:1]
| config shop-three map[k:3]
| config theirs map[k:2]
