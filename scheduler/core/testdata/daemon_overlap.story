# Daemon spreads overlap: each host carries the first that fits, and none of the
# others fails for that. (D-11)
host a zone=e edge=y
host b zone=e
deploy shop
  component web image=web:1 daemon=1 spread=edge:edge=y spread=zone:zone=e spread=any:
run 10s
|   0.102 scale shop-web@a to 1 of web:1 (spread edge wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread zone wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-web=1/web:1/edge
| on b: shop-web=1/web:1/zone
deploy shop
  component web image=web:1 daemon=1 spread=edge:edge=y spread=zone:zone=e spread=mars:zone=m
|  10.000 status shop: failed Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found.
run 10s
