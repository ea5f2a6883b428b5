# Hosts on which everything fails don't keep the work of a healthy zone from its hosts.
host e1 zone=e
host e2 zone=e
host e3 zone=e
host w1 zone=w
host w2 zone=w
spoil e1 no_space_left_on_device
spoil e2 no_space_left_on_device
spoil e3 no_space_left_on_device
deploy shop
  component web image=web:1 instances=4 spread=east:zone=e,weight=75 spread=west:zone=w,weight=25
run 5m
|   0.102 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@e2 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@w1 to 1 of web:1 (spread west wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 4 host(s)
|   0.103 status shop: failed no space left on device
|   0.984 scale shop-web@e2 to 2 of web:1 (spread east wants 2 here, nothing runs)
|   0.984 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   2.609 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|   2.609 scale shop-web@e2 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   4.184 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|   4.184 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   7.464 scale shop-web@e2 to 2 of web:1 (spread east wants 2 here, nothing runs)
|   7.464 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  13.982 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|  13.982 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  19.983 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|  19.983 scale shop-web@e2 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  32.894 scale shop-web@e2 to 2 of web:1 (spread east wants 2 here, nothing runs)
|  32.894 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  60.158 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|  60.158 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  90.998 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
|  90.998 scale shop-web@e2 to 1 of web:1 (spread east wants 1 here, nothing runs)
| 145.023 scale shop-web@e2 to 2 of web:1 (spread east wants 2 here, nothing runs)
| 145.023 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
| 245.792 scale shop-web@e1 to 2 of web:1 (spread east wants 2 here, nothing runs)
| 245.792 scale shop-web@e3 to 1 of web:1 (spread east wants 1 here, nothing runs)
kill w1
run 1s
| 300.353 scale shop-web@w2 to 1 of web:1 (spread west wants 1 here, nothing runs)
show
| on e1: 
| on e2: 
| on e3: 
| on w2: shop-web=1/web:1/west
