# Several spreads that nobody can hold are told in the order of the manifest, once. (D-24)
host a zone=e
host b zone=e
deploy shop
  component web image=web:1 instances=9 spread=mars:zone=m spread=venus:zone=v spread=east:zone=e spread=io:zone=i
  component api image=api:1 instances=2 spread=pluto:zone=p spread=mars:zone=m
run 30m
|   0.102 scale shop-web@a to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 scale shop-web@b to 1 of web:1 (spread east wants 1 here, nothing runs)
|   0.102 status shop: failed Could not satisfy spread mars for web:1, 0/1 eligible hosts found. Could not satisfy spread venus for web:1, 0/1 eligible hosts found. Could not satisfy spread io for web:1, 0/1 eligible hosts found., Could not satisfy spread pluto for api:1, 0/1 eligible hosts found. Could not satisfy spread mars for api:1, 0/1 eligible hosts found.
