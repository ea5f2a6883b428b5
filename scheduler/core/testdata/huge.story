# No host stores more than 4294967295 instances; more is asked of none.
host a
deploy shop
  component web image=web:1 instances=5000000000
run 10s
|   0.102 scale shop-web@a to 4294967295 of web:1 (spread default wants 4294967295 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
