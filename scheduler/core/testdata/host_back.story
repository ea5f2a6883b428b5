# A host is cut off, its work is moved, and it comes back with its work still on
# it: the surplus goes, nothing is restarted.
host a
host b
deploy shop
  component web image=web:1 instances=4
  provider http image=http:1
run 30s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
cut a
run 60s
|  40.752 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  40.752 scale shop-web@b to 4 of web:1 (spread default wants 4 here, 2 run)
|  40.752 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|  40.753 status shop: reconciling Scaling component on 1 host(s)
|  40.754 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| on b: shop-http=1/http:1/default shop-web=4/web:1/default
heal a
run 60s
| 100.000 stop provider shop-http@b  (host host-b (b) is not, or no longer, needed for shop-http)
| 100.000 scale shop-web@b to 2 of web:1 (spread default wants 2 here, 4 run)
| 100.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
| 100.001 status shop: reconciling Scaling component on 1 host(s)
| 100.002 status shop: deployed 
show
| on a: shop-http=1/http:1/default shop-web=2/web:1/default
| on b: shop-web=2/web:1/default
