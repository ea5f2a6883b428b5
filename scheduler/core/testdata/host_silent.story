# A host is mute for 18 seconds while it compiles: it is asked, not given up, and
# nothing is done twice.
host a
host b
image big:1 fetch=18s mutes=true
deploy shop
  component big image=big:1 instances=1
run 13s
|   0.102 scale shop-big@a to 1 of big:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
# While a is known to be mute, more is wanted: b gets it, a gets nothing new.
deploy shop
  component big image=big:1 instances=1
  component tiny image=tiny:1 instances=2
|  13.000 scale shop-tiny@b to 2 of tiny:1 (spread default wants 2 here, nothing runs)
|  13.000 status shop: reconciling Scaling component on 1 host(s), Scaling component on 1 host(s)
run 60s
|  13.001 status shop: reconciling Scaling component on 1 host(s)
|  18.103 status shop: deployed 
show
| on a: shop-big=1/big:1/default
| on b: shop-tiny=2/tiny:1/default
