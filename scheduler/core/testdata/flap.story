# A route that flaps refuses several requests of one moment; the host is not gone.
host a
host b
deploy old
  component web image=web:1 instances=4
run 20s
|   0.102 scale old-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 scale old-web@b to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status old: reconciling Scaling component on 2 host(s)
|   0.103 status old: reconciling Scaling component on 1 host(s)
|   0.103 status old: deployed 
cut a
deploy new
  component x image=x:1 instances=2
  component y image=y:1 instances=2
  component z image=z:1 instances=2
|  20.000 scale new-x@a to 1 of x:1 (spread default wants 1 here, nothing runs)
|  20.000 scale new-x@b to 1 of x:1 (spread default wants 1 here, nothing runs)
|  20.000 scale new-y@a to 1 of y:1 (spread default wants 1 here, nothing runs)
|  20.000 scale new-y@b to 1 of y:1 (spread default wants 1 here, nothing runs)
|  20.000 scale new-z@a to 1 of z:1 (spread default wants 1 here, nothing runs)
|  20.000 scale new-z@b to 1 of z:1 (spread default wants 1 here, nothing runs)
|  20.000 status new: reconciling Scaling component on 2 host(s), Scaling component on 2 host(s), Scaling component on 2 host(s)
run 20ms
|  20.001 status new: failed host does not answer, Scaling component on 2 host(s), Scaling component on 2 host(s)
|  20.001 status new: failed host does not answer, host does not answer, Scaling component on 2 host(s)
|  20.001 status new: failed host does not answer, host does not answer, host does not answer
|  20.001 scale new-x@b to 2 of x:1 (spread default wants 2 here, 1 run)
|  20.001 scale new-y@b to 2 of y:1 (spread default wants 2 here, 1 run)
|  20.001 scale new-z@b to 2 of z:1 (spread default wants 2 here, 1 run)
|  20.003 status new: failed host does not answer, host does not answer
|  20.003 status new: failed host does not answer
|  20.003 status new: deployed 
heal a
run 1m
show
| on a: old-web=2/web:1/default
| on b: new-x=2/x:1/default new-y=2/y:1/default new-z=2/z:1/default old-web=2/web:1/default
