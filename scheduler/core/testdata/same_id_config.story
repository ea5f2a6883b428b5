# Two applications want one id. A configuration that only one of them needs, and
# that is missing, does not hold the other.
host a
host b
deploy one
  component web image=web:1 instances=1 id=web config=theirs
  provider http image=http:1 instances=1 id=http config=theirs
run 10s
|   0.102 status one: reconciling Waiting for configuration theirs, Waiting for configuration theirs
|   0.103 status one: failed Specified configuration theirs does not exist, Specified configuration theirs does not exist
deploy two
  component web image=web:1 instances=1 id=web
  provider http image=http:1 instances=1 id=http
|  10.000 start provider http@a http:1 (spread default wants it here, it does not run)
|  10.000 scale web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|  10.000 status two: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
run 10s
|  10.001 status two: reconciling Scaling component on 1 host(s)
|  10.001 status two: deployed 
show
| on a: http=1/http:1/default
| on b: web=1/web:1/default
deploy two
  component web image=web:2 instances=3 id=web
  provider http image=http:2 instances=1 id=http
|  20.000 stop provider http@a  (makes room for image http:2 with its configuration)
|  20.000 update component web@b web:2 (image web:2 replaces web:1)
|  20.000 status two: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
run 1m
|  20.001 start provider http@a http:2 (spread default wants it here, it does not run)
|  20.001 scale web@b to 3 of web:2 (spread default wants 3 here, 1 run)
|  20.002 status two: reconciling Scaling component on 1 host(s)
|  20.003 status two: deployed 
show
| on a: http=1/http:2/default
| on b: web=3/web:2/default
config theirs k=v
run 10s
|  80.001 start provider http@b http:1 (spread default wants it here, it does not run)
|  80.001 scale web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|  80.001 status one: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|  80.002 status one: reconciling Scaling component on 1 host(s)
|  80.002 status one: deployed 
show
| on a: http=1/http:2/default web=1/web:1/default
| on b: http=1/http:1/default web=3/web:2/default
| config theirs map[k:v]
