# A daemon scaler that wants nothing is content wherever someone else runs its id.
host a
foreign shop-web@a image=their:1
run 1s
deploy shop
  component web image=web:1 daemon=0
|   1.000 status shop: deployed 
run 10s
show
| on a: shop-web=1/their:1/
