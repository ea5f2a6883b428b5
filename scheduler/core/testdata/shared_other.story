# A change of another application is no change of one that refers to a third.
host a
deploy base
  shared
  component auth image=auth:1 instances=1
deploy shop
  component web image=web:1 instances=2 spread=one:
  component auth application=base/auth
  link web auth a:b/c
run 10s
|   0.102 put link shop-web->base-auth a:b (the link is not there)
|   0.102 scale base-auth@a to 1 of auth:1 (spread default wants 1 here, nothing runs)
|   0.102 scale shop-web@a to 2 of web:1 (spread one wants 2 here, nothing runs)
|   0.102 status base: reconciling Scaling component on 1 host(s)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-web and base-auth
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status base: deployed 
|   0.103 status shop: deployed 
deploy shop
  component web image=web:1 instances=2 spread=two:
  component auth application=base/auth
  link web auth a:b/c
|  10.000 scale shop-web@a to 2 of web:1 (configuration or spread of shop-web changed)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
|  10.003 status shop: deployed 
deploy other
  component z image=z:1 instances=1
|  20.000 scale other-z@a to 1 of z:1 (spread default wants 1 here, nothing runs)
|  20.000 status other: reconciling Scaling component on 1 host(s)
run 5s
|  20.001 status other: deployed 
deploy other
  component z image=z:1 instances=2
|  25.000 scale other-z@a to 2 of z:1 (spread default wants 2 here, 1 run)
|  25.000 status other: reconciling Scaling component on 1 host(s)
