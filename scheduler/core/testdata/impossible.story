# A spread without a host fails alone. (D-02)
host a zone=e
deploy shop
  component web image=web:1 instances=4 spread=east:zone=e spread=mars:zone=m
  provider http image=http:1 instances=2 spread=east:zone=e spread=mars:zone=m
run 10s
|   0.102 start provider shop-http@a http:1 (spread east wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread east wants 2 here, nothing runs)
|   0.102 status shop: failed Could not satisfy spread mars for web:1, 0/1 eligible hosts found., Could not satisfy spread mars for http:1, 0/1 eligible hosts found.
show
| on a: shop-http=1/http:1/east shop-web=2/web:1/east
host b zone=m
run 10s
|  10.000 start provider shop-http@b http:1 (spread mars wants it here, it does not run)
|  10.000 scale shop-web@b to 2 of web:1 (spread mars wants 2 here, nothing runs)
|  10.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|  10.001 status shop: reconciling Scaling component on 1 host(s)
|  10.001 status shop: deployed 
show
| on a: shop-http=1/http:1/east shop-web=2/web:1/east
| on b: shop-http=1/http:1/mars shop-web=2/web:1/mars
