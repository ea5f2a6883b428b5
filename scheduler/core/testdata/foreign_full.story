# The only host that fits is occupied by someone else's work.
host a
foreign shop-web@a image=their:1
run 5s
deploy shop
  component web image=web:1 instances=2
|   5.000 status shop: failed Could not satisfy spread default for web:1, 0/1 eligible hosts found.
run 30s
show
| on a: shop-web=1/their:1/
