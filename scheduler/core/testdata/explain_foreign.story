# A provider that someone else runs counts, also in the explanation.
host a
run 1s
foreign shop-http@a image=their:1 provider=true
run 1s
deploy shop
  provider http image=http:1 instances=1
|   2.000 status shop: deployed 
run 5s
explain shop
| {
|  "app": "shop",
|  "deployed": true,
|  "gathered": true,
|  "status": {
|   "type": "deployed"
|  },
|  "condition": {
|   "type": "deployed",
|   "reason": "as-wanted",
|   "since": "2026-01-01T00:00:02Z"
|  },
|  "scalers": [
|   {
|    "id": "961f326f2aca2e932f869c11292406438315ac9b9d41586b97d46a70cf84ce14",
|    "kind": "SpreadScaler",
|    "name": "shop-http",
|    "status": {
|     "type": "deployed"
|    },
|    "condition": {
|     "type": "deployed",
|     "reason": "as-wanted",
|     "since": "2026-01-01T00:00:02Z"
|    },
|    "image": "http:1",
|    "wanted": 1,
|    "have": 1,
|    "spreads": [
|     {
|      "name": "default",
|      "wanted": 1,
|      "have": 1,
|      "eligible": 1,
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "foreign",
|        "detail": "runs their:1 of someone else"
|       }
|      ]
|     }
|    ]
|   }
|  ]
| }
