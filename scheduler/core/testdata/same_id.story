# Two applications want one id. A host keeps one record, so each gets hosts of its
# own; with one host only, whoever came first has it. (D-18)
host a
deploy one
  component web image=web:1 instances=2 id=web
run 10s
|   0.102 scale web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status one: reconciling Scaling component on 1 host(s)
|   0.103 status one: deployed 
deploy two
  component web image=web:1 instances=3 id=web
|  10.000 status two: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found.
run 10s
show
| on a: web=2/web:1/default
host b
run 10s
|  20.000 scale web@b to 3 of web:1 (spread default wants 3 here, nothing runs)
|  20.000 status two: reconciling Scaling component on 1 host(s)
|  20.001 status two: deployed 
show
| on a: web=2/web:1/default
| on b: web=3/web:1/default
undeploy one
|  30.000 scale web@a to 0 of web:1 (no deployed application wants web of application "one")
|  30.000 status one: reconciling Manifest is being undeployed
run 10s
|  30.002 status one: undeployed Manifest has been undeployed
show
| on a: 
| on b: web=3/web:1/default
