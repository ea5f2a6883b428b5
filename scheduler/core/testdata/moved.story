# Work that a new version sends to other hosts serves where it was until it runs
# there, also when its image cannot be had for a while.
host a zone=e
host b zone=w
deploy shop
  component web image=web:1 instances=3 spread=here:zone=e
run 10s
|   0.102 scale shop-web@a to 3 of web:1 (spread here wants 3 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
image web:1 fail=unreachable
deploy shop
  component web image=web:1 instances=3 spread=here:zone=w
|  10.000 scale shop-web@b to 3 of web:1 (spread here wants 3 here, nothing runs)
|  10.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
|  10.001 status shop: failed unreachable
|  10.999 scale shop-web@b to 3 of web:1 (spread here wants 3 here, nothing runs)
|  12.782 scale shop-web@b to 3 of web:1 (spread here wants 3 here, nothing runs)
|  15.921 scale shop-web@b to 3 of web:1 (spread here wants 3 here, nothing runs)
show
| on a: shop-web=3/web:1/here
| on b: 
explain shop
| {
|  "app": "shop",
|  "deployed": true,
|  "gathered": true,
|  "status": {
|   "type": "failed",
|   "message": "unreachable"
|  },
|  "condition": {
|   "type": "failed",
|   "reason": "command-failed",
|   "since": "2026-01-01T00:00:10.001Z"
|  },
|  "scalers": [
|   {
|    "id": "35d2801a5679561b3f56c8f20be56539c6ac698738294805cb9a19d21ca77779",
|    "kind": "SpreadScaler",
|    "name": "shop-web",
|    "status": {
|     "type": "failed",
|     "message": "unreachable"
|    },
|    "condition": {
|     "type": "failed",
|     "reason": "command-failed",
|     "since": "2026-01-01T00:00:10.001Z"
|    },
|    "image": "web:1",
|    "wanted": 3,
|    "have": 0,
|    "spreads": [
|     {
|      "name": "here",
|      "requirements": {
|       "zone": "w"
|      },
|      "wanted": 3,
|      "have": 0,
|      "eligible": 1,
|      "excluded": [
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "backoff",
|        "detail": "unreachable"
|       },
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "label-mismatch",
|        "detail": "zone=w"
|       }
|      ]
|     }
|    ],
|    "next_retry": "2026-01-01T00:00:23.349098041Z"
|   }
|  ]
| }
image web:1 fetch=1s
run 60s
|  23.349 scale shop-web@b to 3 of web:1 (spread here wants 3 here, nothing runs)
|  24.350 scale shop-web@a to 0 of web:1 (host host-a (a) is not, or no longer, needed for shop-web)
|  24.350 status shop: reconciling Found components running on ineligible hosts, removing them.
|  24.352 status shop: deployed 
show
| on a: 
| on b: shop-web=3/web:1/here

# The same for weights: what one spread loses the other has first.
deploy shop
  component web image=web:1 instances=5 spread=here:zone=w,weight=80 spread=there:zone=e,weight=20
|  80.000 scale shop-web@a to 1 of web:1 (spread there wants 1 here, nothing runs)
|  80.000 scale shop-web@b to 4 of web:1 (spread here wants 4 here, 3 run)
|  80.000 status shop: reconciling Scaling component on 2 host(s)
run 10s
|  80.002 status shop: reconciling Scaling component on 1 host(s)
|  81.001 status shop: deployed 
show
| on a: shop-web=1/web:1/there
| on b: shop-web=4/web:1/here
deploy shop
  component web image=web:1 instances=5 spread=here:zone=w,weight=20 spread=there:zone=e,weight=80
|  90.000 scale shop-web@a to 4 of web:1 (spread there wants 4 here, 1 run)
|  90.000 status shop: reconciling Scaling component on 1 host(s)
run 10s
|  90.002 scale shop-web@b to 1 of web:1 (spread here wants 1 here, 4 run)
|  90.004 status shop: deployed 
show
| on a: shop-web=4/web:1/there
| on b: shop-web=1/web:1/here

# A requirement that no host meets leaves nothing behind.
deploy shop
  component web image=web:1 instances=2 spread=here:zone=nowhere
| 100.000 scale shop-web@a to 0 of web:1 (host host-a (a) is not, or no longer, needed for shop-web)
| 100.000 scale shop-web@b to 0 of web:1 (host host-b (b) is not, or no longer, needed for shop-web)
| 100.000 status shop: failed Could not satisfy spread here for web:1, 0/1 eligible hosts found.
run 10s
show
| on a: 
| on b: 
