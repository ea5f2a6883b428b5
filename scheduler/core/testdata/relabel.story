# A host loses the label that a spread wants; what runs there goes, and comes up
# where the label is. (D-09, D-23)
host a zone=e
host b zone=w
deploy shop
  component web image=web:1 instances=3 spread=east:zone=e
  provider http image=http:1 instances=1 spread=east:zone=e
run 10s
|   0.102 start provider shop-http@a http:1 (spread east wants it here, it does not run)
|   0.102 scale shop-web@a to 3 of web:1 (spread east wants 3 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
show
| on a: shop-http=1/http:1/east shop-web=3/web:1/east
| on b: 
relabel b zone=e
run 20s
show
| on a: shop-http=1/http:1/east shop-web=3/web:1/east
| on b: 
relabel a zone=w
run 20s
|  30.000 start provider shop-http@b http:1 (spread east wants it here, it does not run)
|  30.000 scale shop-web@b to 3 of web:1 (spread east wants 3 here, nothing runs)
|  30.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|  30.001 stop provider shop-http@a  (host host-a (a) is not, or no longer, needed for shop-http)
|  30.001 status shop: reconciling Scaling component on 1 host(s), Found providers running on ineligible hosts, removing them.
|  30.001 scale shop-web@a to 0 of web:1 (host host-a (a) is not, or no longer, needed for shop-web)
|  30.001 status shop: reconciling Found components running on ineligible hosts, removing them., Found providers running on ineligible hosts, removing them.
|  30.002 status shop: reconciling Found components running on ineligible hosts, removing them.
|  30.003 status shop: deployed 
show
| on a: 
| on b: shop-http=1/http:1/east shop-web=3/web:1/east
