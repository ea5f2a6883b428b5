# A host is killed: its work moves when it is known to be gone, in about a
# heartbeat interval.
host a
host b
image web:1 fetch=1s
deploy shop
  component web image=web:1 instances=4
run 60s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   1.103 status shop: reconciling Scaling component on 1 host(s)
|   1.103 status shop: deployed 
kill b
run 60s
|  70.752 scale shop-web@a to 4 of web:1 (spread default wants 4 here, 2 run)
|  70.752 status shop: reconciling Scaling component on 1 host(s)
|  70.754 status shop: deployed 
show
| on a: shop-web=4/web:1/default

# It comes back empty; what runs stays where it is.
host b
run 60s
show
| on a: shop-web=4/web:1/default
| on b: 

# A host falls silent for 8 seconds while compiling: nothing is moved.
image big:1 fetch=15s mutes=true
deploy other
  component big image=big:1 instances=2
| 180.000 scale other-big@a to 1 of big:1 (spread default wants 1 here, nothing runs)
| 180.000 scale other-big@b to 1 of big:1 (spread default wants 1 here, nothing runs)
| 180.000 status other: reconciling Scaling component on 2 host(s)
run 60s
| 195.001 status other: reconciling Scaling component on 1 host(s)
| 195.001 status other: deployed 
show
| on a: other-big=1/big:1/default shop-web=4/web:1/default
| on b: other-big=1/big:1/default

# A host stops with a word.
stop a
run 60s
| 240.000 scale other-big@b to 2 of big:1 (spread default wants 2 here, 1 run)
| 240.000 scale shop-web@b to 4 of web:1 (spread default wants 4 here, nothing runs)
| 240.000 status other: reconciling Scaling component on 1 host(s)
| 240.000 status shop: reconciling Scaling component on 1 host(s)
| 240.002 status other: deployed 
| 241.001 status shop: deployed 
show
| on b: other-big=2/big:1/default shop-web=4/web:1/default
