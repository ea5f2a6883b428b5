# A host's clock is an hour ahead, another's an hour behind: what they say is
# ordered by their own clocks.
clock a 1h
clock b -1h
host a
host b
deploy shop
  component web image=web:1 instances=4
run 30s
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
# A clock is set back by three hours while the host runs. What it says counts
# again from its second heartbeat on.
clock a -2h
remove shop-web@a
run 60s
|  50.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  50.000 status shop: reconciling Scaling component on 1 host(s)
|  50.001 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
remove shop-web@a
run 1s
|  90.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|  90.000 status shop: reconciling Scaling component on 1 host(s)
|  90.001 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
# A clock is set ahead by a day between the first heartbeats: the host is lost two
# intervals and a second after its last word, as any other.
host c zone=c
deploy edge
  component gate image=gate:1 instances=1 spread=c:zone=c
|  91.000 status edge: failed Could not satisfy spread c for gate:1, 0/1 eligible hosts found.
run 15s
|  91.000 scale edge-gate@c to 1 of gate:1 (spread c wants 1 here, nothing runs)
|  91.000 status edge: reconciling Scaling component on 1 host(s)
|  91.001 status edge: deployed 
clock c 24h
run 5500ms
mute c 10m
run 20400ms
run 200ms
| 132.000 status edge: failed Could not satisfy spread c for gate:1, 0/1 eligible hosts found.
# A clock is set back by less than an interval, right before something goes: the
# event looks old, and so does the next heartbeat's list. That heartbeat is late by
# the host's clock, so the host is asked.
host d zone=d
deploy far
  component gate image=gate:1 instances=1 spread=d:zone=d
| 132.100 status far: failed Could not satisfy spread d for gate:1, 0/1 eligible hosts found.
run 38s
| 132.100 scale far-gate@d to 1 of gate:1 (spread d wants 1 here, nothing runs)
| 132.100 status far: reconciling Scaling component on 1 host(s)
| 132.101 status far: deployed 
remove far-gate@d
run 500ms
| 170.100 scale far-gate@d to 1 of gate:1 (spread d wants 1 here, nothing runs)
| 170.100 status far: reconciling Scaling component on 1 host(s)
| 170.101 status far: deployed 
clock d -8s
remove far-gate@d
run 5s
| 172.101 scale far-gate@d to 1 of gate:1 (spread d wants 1 here, nothing runs)
| 172.101 status far: reconciling Scaling component on 1 host(s)
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
| on c: edge-gate=1/gate:1/c
| on d: far-gate=1/gate:1/d
run 7s
| 182.101 status far: deployed 
show
| on a: shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
| on c: edge-gate=1/gate:1/c
| on d: far-gate=1/gate:1/d
# From the second heartbeat on its events count as they come.
run 15s
remove far-gate@d
run 100ms
| 197.600 scale far-gate@d to 1 of gate:1 (spread d wants 1 here, nothing runs)
| 197.600 status far: reconciling Scaling component on 1 host(s)
| 197.601 status far: deployed 
