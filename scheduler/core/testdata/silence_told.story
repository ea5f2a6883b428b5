# One host is missing. When the one that is there falls silent, the status says so
# at once, not when something else happens in the lattice.
host a zone=e
deploy shop
  provider http image=http:1 instances=2 spread=east:zone=e
run 60s
|   0.102 start provider shop-http@a http:1 (spread east wants it here, it does not run)
|   0.102 status shop: failed Could not satisfy spread east for http:1, 0/2 eligible hosts found.
|   0.103 status shop: failed Could not satisfy spread east for http:1, 1/2 eligible hosts found.
cut a
run 40s
|  70.500 status shop: reconciling Waiting for host host-a (a), which does not answer
|  70.752 status shop: failed Could not satisfy spread east for http:1, 0/2 eligible hosts found.
show
| on a: shop-http=1/http:1/east
heal a
run 60s
| 110.000 status shop: failed Could not satisfy spread east for http:1, 1/2 eligible hosts found.
show
| on a: shop-http=1/http:1/east
