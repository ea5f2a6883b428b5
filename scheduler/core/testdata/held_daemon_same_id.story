# A daemon scaler that waits for a configuration takes no host from others of its id.
host a
deploy aaa
  component web id=x image=web:1 daemon=1 config=theirs
deploy bbb
  component web id=x image=web:1 instances=1
run 1m
|   0.102 scale x@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status aaa: reconciling Waiting for configuration theirs
|   0.102 status bbb: reconciling Scaling component on 1 host(s)
|   0.103 status aaa: failed Could not satisfy daemonscaler default for web:1, 0/1 eligible hosts found.
|   0.103 status bbb: deployed 
show
| on a: x=1/web:1/default
