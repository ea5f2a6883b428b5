# Traits of an unknown kind have no effect, and the status says so without being
# another for it; so it does as long as the application is deployed.
host a
deploy shop
  component web image=web:1 instances=1
  trait web autoscaler.example.com
  component job image=job:1
  trait job cron
  trait job cron
run 10s
|   0.102 scale shop-web@a to 1 of web:1 (spread default wants 1 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Trait "autoscaler.example.com" of component "web" is not supported and ignored, Trait "cron" of component "job" is not supported and ignored
|   0.103 status shop: deployed Trait "autoscaler.example.com" of component "web" is not supported and ignored, Trait "cron" of component "job" is not supported and ignored
deploy shop
  component web image=web:1 instances=1
  trait web one
  trait web two
  trait web three
  trait web four
  trait web five
|  10.000 status shop: deployed Trait "one" of component "web" is not supported and ignored, Trait "two" of component "web" is not supported and ignored, Trait "three" of component "web" is not supported and ignored, 2 more traits are not supported and ignored
run 10s
deploy shop
  component web image=web:1 instances=1
|  20.000 status shop: deployed 
run 10s
deploy only
  component job image=job:1
  trait job cron
|  30.000 status only: undeployed Trait "cron" of component "job" is not supported and ignored
run 10s
undeploy only
|  40.000 status only: undeployed Manifest has been undeployed
run 10s
