# What fails on hosts of another application's spread is not told of this one.
host e1 zone=e
host w1 zone=w
host w2 zone=w
spoil e1 no_space_left_on_device
deploy one
  component web id=x image=web:1 instances=1 spread=east:zone=e
deploy two
  component web id=x image=web:1 instances=1 spread=west:zone=w
run 20s
|   0.102 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale x@w1 to 1 of web:1 (spread west wants 1 here, nothing runs)
|   0.102 status one: reconciling Scaling component on 1 host(s)
|   0.102 status two: reconciling Scaling component on 1 host(s)
|   0.103 status one: failed no space left on device
|   0.103 status two: deployed 
|   0.957 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   2.527 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|   6.092 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  12.666 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
kill w1
run 20s
|  27.522 scale x@e1 to 1 of web:1 (spread east wants 1 here, nothing runs)
|  30.752 scale x@w2 to 1 of web:1 (spread west wants 1 here, nothing runs)
|  30.752 status two: reconciling Scaling component on 1 host(s)
|  30.753 status two: deployed 
show
| on e1: 
| on w2: x=1/web:1/west
