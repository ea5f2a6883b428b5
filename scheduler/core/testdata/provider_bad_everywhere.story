# Without a free host one is stopped for the new image, and no other before that one runs.
host a
host b
deploy shop
  provider http image=http:1 instances=2
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 2 host(s)
|   0.103 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
image http:2 fail=no_such_image
deploy shop
  provider http image=http:2 instances=2
|  10.000 stop provider shop-http@a  (makes room for image http:2 with its configuration)
|  10.000 status shop: reconciling Scaling provider on 1 host(s)
run 100s
|  10.001 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  10.002 status shop: failed no such image
|  10.790 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  12.507 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  15.512 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  22.078 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  37.514 start provider shop-http@a http:2 (spread default wants it here, it does not run)
|  62.582 start provider shop-http@a http:2 (spread default wants it here, it does not run)
show
| on a: 
| on b: shop-http=1/http:1/default
