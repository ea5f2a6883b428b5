# While there is no owner, one application is undeployed, another one deleted and
# a third changed.
host a
host b
deploy one
  component web image=web:1 instances=2 config=c:k=v
  provider http image=http:1
  link http web wasi:http/incoming-handler
deploy two
  component web image=web:1 instances=2
deploy three
  component web image=web:1 instances=2
run 10s
|   0.102 put link one-http->one-web wasi:http (the link is not there)
|   0.102 start provider one-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale three-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale three-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale two-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 scale two-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status one: reconciling Waiting for configuration one-c, Putting link definition between one-http and one-web, Scaling provider on 1 host(s)
|   0.102 status three: reconciling Scaling component on 2 host(s)
|   0.102 status two: reconciling Scaling component on 2 host(s)
|   0.103 status one: reconciling Waiting for configuration one-c, Scaling provider on 1 host(s)
|   0.103 put config one-c (the configuration does not exist)
|   0.103 status one: reconciling Waiting for configuration one-c
|   0.103 status three: reconciling Scaling component on 1 host(s)
|   0.103 status three: deployed 
|   0.103 status two: reconciling Scaling component on 1 host(s)
|   0.103 status two: deployed 
|   0.104 scale one-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 scale one-web@b to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 status one: reconciling Scaling component on 2 host(s)
|   0.105 status one: reconciling Scaling component on 1 host(s)
|   0.105 status one: deployed 
down
undeploy one
undeploy two
deploy three
  component web image=web:2 instances=4
run 30s
restart
run 60s
|  40.102 delete link one-http->one-web wasi:http (no deployed application wants the link of application "one")
|  40.102 update component three-web@a web:2 (image web:2 replaces web:1)
|  40.102 scale two-web@a to 0 of web:1 (no deployed application wants two-web of application "two")
|  40.102 scale two-web@b to 0 of web:1 (no deployed application wants two-web of application "two")
|  40.102 status one: reconciling Manifest is being undeployed
|  40.102 status three: reconciling Scaling component on 1 host(s)
|  40.102 status two: reconciling Manifest is being undeployed
|  40.103 stop provider one-http@a  (no deployed application wants one-http of application "one")
|  40.103 scale one-web@a to 0 of web:1 (no deployed application wants one-web of application "one")
|  40.103 scale one-web@b to 0 of web:1 (no deployed application wants one-web of application "one")
|  40.103 update component three-web@b web:2 (image web:2 replaces web:1)
|  40.103 scale three-web@a to 2 of web:2 (spread default wants 2 here, 1 run)
|  40.103 status three: reconciling Scaling component on 2 host(s)
|  40.104 scale three-web@b to 2 of web:2 (spread default wants 2 here, 1 run)
|  40.105 status three: reconciling Scaling component on 1 host(s)
|  40.105 delete config one-c (nothing uses the configuration any more)
|  40.105 status two: undeployed Manifest has been undeployed
|  40.106 status one: undeployed Manifest has been undeployed
|  40.106 status three: deployed 
show
| on a: three-web=2/web:2/default
| on b: three-web=2/web:2/default
