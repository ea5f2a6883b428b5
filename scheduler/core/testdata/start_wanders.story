# A start that fails does not wander over the hosts: it is tried again where it has
# failed, and on a further host only after several failures on each of those.
host a
host b
host c
host d
host e
host f
image web:1 fail=no_such_image
image http:1 fail=no_such_image
deploy shop
  component web image=web:1 instances=1
  provider http image=http:1 instances=1
run 1m
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|   0.103 status shop: failed Scaling component on 1 host(s), no such image
|   0.103 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.103 status shop: failed no such image, no such image
|   0.891 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   1.034 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   1.071 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|   1.101 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   2.608 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   2.608 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   2.791 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|   2.884 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   5.613 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   5.804 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|   6.023 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   6.181 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  12.179 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  12.982 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  13.139 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  13.367 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  13.451 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  14.277 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  14.921 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  15.956 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  18.910 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  19.741 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  25.138 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  25.515 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  26.754 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  28.418 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|  38.661 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  39.304 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|  41.062 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|  42.488 scale shop-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
image web:1
image http:1
run 2m
|  64.372 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|  64.373 status shop: failed no such image
|  66.207 scale shop-web@c to 1 of web:1 (spread default wants 1 here, nothing runs)
|  66.208 status shop: deployed 
show
| on a: 
| on b: 
| on c: shop-http=1/http:1/default shop-web=1/web:1/default
| on d: 
| on e: 
| on f: 
