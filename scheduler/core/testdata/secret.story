# A component with a secret: the reference is put as a configuration. The host
# takes every scale command for a change, so none is sent without need. (D-15)
host a
deploy shop
  policy vault backend=nats-kv
  component web image=web:1 instances=1 config=lang:l=de secret=token:vault/key
run 10s
|   0.102 status shop: reconciling Waiting for configuration shop-lang
|   0.103 put config SECRET_shop-token (the configuration does not exist)
|   0.103 put config shop-lang (the configuration does not exist)
|   0.104 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.104 status shop: reconciling Scaling component on 1 host(s)
|   0.105 status shop: deployed 
show
| on a: shop-web=1/web:1/default
| config SECRET_shop-token map[backend:nats-kv key:key name:token policy:{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{}} type:secret.wasmcloud.dev/v1alpha1]
| config shop-lang map[l:de]
deploy shop
  policy vault backend=nats-kv
  component web image=web:1 instances=2 config=lang:l=de secret=token:vault/key
|  10.000 scale shop-web@a to 2 of web:1 (spread default wants 2 here, 1 run)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 30s
|  10.002 status shop: deployed 
restart
run 10m
|  40.102 status shop: deployed 
show
| on a: shop-web=2/web:1/default
| config SECRET_shop-token map[backend:nats-kv key:key name:token policy:{"type":"properties.secret.wasmcloud.dev/v1alpha1","properties":{}} type:secret.wasmcloud.dev/v1alpha1]
| config shop-lang map[l:de]
# A secret without its policy.
deploy shop
  component web image=web:1 instances=2 secret=token:vault/key
| 640.000 status shop: reconciling Failed to convert secret config to map: encode secret: secret 'token' is mapped to policy '' which is not a secret policy. Expected type 'policy.secret.wasmcloud.dev/v1alpha1'.
run 30s
