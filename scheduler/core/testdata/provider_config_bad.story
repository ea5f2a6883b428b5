# Another configuration with which the provider cannot start elsewhere is no reason to
# stop the one that runs.
host a
host b
deploy shop
  provider http image=http:1
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 status shop: reconciling Scaling provider on 1 host(s)
|   0.103 status shop: deployed 
image http:1 fail=bad_configuration
deploy shop
  provider http image=http:1 config=mode:v=2
|  10.000 status shop: reconciling Waiting for configuration shop-mode
run 60s
|  10.001 put config shop-mode (the configuration does not exist)
|  10.002 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  10.002 status shop: reconciling Scaling provider on 1 host(s)
|  10.003 status shop: failed bad configuration
|  10.963 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  12.744 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  16.733 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  22.962 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  37.128 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
|  63.231 start provider shop-http@b http:1 (takes over from the one on host host-a (a), which runs http:1)
show
| on a: shop-http=1/http:1/default
| on b: 
| config shop-mode map[v:2]
