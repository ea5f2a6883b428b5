# Two applications want one provider id. What somebody else runs under it counts
# once for each of them, as for one. What the other application runs does not: that
# goes when the other is undeployed, and has the image the other wants.
host a
host b
host c
foreign http@a image=their:1 provider=true
run 5s
deploy one
  provider http image=http:1 instances=2 id=http
|   5.000 start provider http@b http:1 (spread default wants it here, it does not run)
|   5.000 status one: reconciling Scaling provider on 1 host(s)
deploy two
  provider http image=http:2 instances=2 id=http
|   5.000 start provider http@c http:2 (spread default wants it here, it does not run)
|   5.000 status two: reconciling Scaling provider on 1 host(s)
run 10s
|   5.001 status one: deployed 
|   5.001 status two: deployed 
show
| on a: http=1/their:1/
| on b: http=1/http:1/default
| on c: http=1/http:2/default
# When that has gone, three hosts are too few: the later one by name is told so.
remove http@a
run 10s
|  15.000 start provider http@a http:1 (spread default wants it here, it does not run)
|  15.000 status one: reconciling Scaling provider on 1 host(s)
|  15.000 status two: failed Could not satisfy spread default for http:2, 1/2 eligible hosts found.
|  15.001 status one: deployed 
show
| on a: http=1/http:1/default
| on b: http=1/http:1/default
| on c: http=1/http:2/default
host d
run 10s
|  25.000 start provider http@d http:2 (spread default wants it here, it does not run)
|  25.000 status two: reconciling Scaling provider on 1 host(s)
|  25.001 status two: deployed 
show
| on a: http=1/http:1/default
| on b: http=1/http:1/default
| on c: http=1/http:2/default
| on d: http=1/http:2/default
# Each goes without the other.
undeploy one
|  35.000 stop provider http@a  (no deployed application wants http of application "one")
|  35.000 stop provider http@b  (no deployed application wants http of application "one")
|  35.000 status one: reconciling Manifest is being undeployed
run 10s
|  35.001 status one: undeployed Manifest has been undeployed
show
| on a: 
| on b: 
| on c: http=1/http:2/default
| on d: http=1/http:2/default
