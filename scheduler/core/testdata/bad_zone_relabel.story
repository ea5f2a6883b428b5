# What a spread leaves on a host that fits it no longer goes when that spread runs
# elsewhere, also while another spread cannot start.
host e1 zone=e
host w1 zone=w
host w2 zone=w
spoil e1 no_space_left_on_device
deploy shop
  component web image=web:1 instances=2 spread=east:zone=e spread=west:zone=w
run 20s
|   0.102 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@w1 to 1 of web:1 (spread west wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 2 host(s)
|   0.103 status shop: failed no space left on device
|   1.072 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   2.647 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   6.374 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  12.375 scale shop-web@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
relabel w1 zone=x
run 1s
|  20.000 scale shop-web@w2 to 1 of web:1 (spread west wants 1 here, nothing runs)
|  20.001 scale shop-web@w1 to 0 of web:1 (host host-w1 (w1) is not, or no longer, needed for shop-web)
show
| on e1: 
| on w1: 
| on w2: shop-web=1/web:1/west
