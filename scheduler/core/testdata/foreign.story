# Work that someone else runs under the wanted id is never touched, on a host that
# fits or not. A host it occupies is not used for the component; a provider counts. (D-07, D-10)
host a zone=e
host b zone=e
host c zone=w
foreign shop-web@a image=their:1
foreign shop-web@c image=their:1
foreign shop-http@a image=their:1 provider=true
run 5s
deploy shop
  component web image=web:1 instances=2 spread=east:zone=e
  provider http image=http:1 instances=2 spread=east:zone=e
|   5.000 start provider shop-http@b http:1 (spread east wants it here, it does not run)
|   5.000 scale shop-web@b to 2 of web:1 (spread east wants 2 here, nothing runs)
|   5.000 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
run 30s
|   5.001 status shop: reconciling Scaling component on 1 host(s)
|   5.001 status shop: deployed 
show
| on a: shop-http=1/their:1/ shop-web=1/their:1/
| on b: shop-http=1/http:1/east shop-web=2/web:1/east
| on c: shop-web=1/their:1/
undeploy shop
|  35.000 stop provider shop-http@b  (no deployed application wants shop-http of application "shop")
|  35.000 scale shop-web@b to 0 of web:1 (no deployed application wants shop-web of application "shop")
|  35.000 status shop: reconciling Manifest is being undeployed
run 30s
|  35.002 status shop: undeployed Manifest has been undeployed
show
| on a: shop-http=1/their:1/ shop-web=1/their:1/
| on b: 
| on c: shop-web=1/their:1/
