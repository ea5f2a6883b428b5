# A start fails on one host while another comes and goes: the waits grow all the
# same. Only a host that is new, or has started anew, ends them.
host a zone=a
host b
image bad:1 fail=no_such_image
deploy shop
  component web image=bad:1 instances=1 spread=a:zone=a
run 40s
|   0.102 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: failed no such image
|   1.033 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
|   2.607 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
|   6.180 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
|  13.366 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
|  25.430 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
cut b
run 15s
|  52.976 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
heal b
run 20s
cut b
run 15s
heal b
run 20s
kill b
run 15s
| 114.906 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
host b
run 1s
| 125.000 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
| 125.000 status shop: reconciling Scaling component on 1 host(s)
| 125.001 status shop: failed no such image
| 125.931 scale shop-web@a to 1 of bad:1 (spread a wants 1 here, nothing runs)
