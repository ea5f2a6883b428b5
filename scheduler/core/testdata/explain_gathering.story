# A new owner is asked before it knows what runs.
host a
deploy shop
  component web image=web:1 instances=2
  provider http image=http:1
  link http web wasi:http/incoming-handler
run 10s
|   0.102 put link shop-http->shop-web wasi:http (the link is not there)
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread default wants 2 here, nothing runs)
|   0.102 status shop: reconciling Scaling component on 1 host(s), Putting link definition between shop-http and shop-web, Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s), Scaling provider on 1 host(s)
|   0.103 status shop: reconciling Scaling component on 1 host(s)
|   0.103 status shop: deployed 
restart
explain shop
| {
|  "app": "shop",
|  "deployed": true,
|  "gathered": false,
|  "status": {
|   "type": "reconciling"
|  },
|  "scalers": [
|   {
|    "id": "35d2801a5679561b3f56c8f20be56539c6ac698738294805cb9a19d21ca77779",
|    "kind": "SpreadScaler",
|    "name": "shop-web",
|    "status": {
|     "type": "reconciling"
|    },
|    "image": "web:1",
|    "wanted": 2,
|    "have": 2,
|    "spreads": [
|     {
|      "name": "default",
|      "wanted": 2,
|      "have": 2,
|      "eligible": 1,
|      "hosts": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "wanted": 2,
|        "have": 2,
|        "state": "silent",
|        "why": "kept",
|        "image": "web:1"
|       }
|      ]
|     }
|    ]
|   },
|   {
|    "id": "98ccf34b7684d22690591c582fae460a6b580f20e9e1cf607fd0c73ab4df6ee1",
|    "kind": "LinkScaler",
|    "name": "shop-http -(wasi:http)-\u003e shop-web",
|    "status": {
|     "type": "reconciling"
|    },
|    "wanted": 1,
|    "have": 0
|   },
|   {
|    "id": "961f326f2aca2e932f869c11292406438315ac9b9d41586b97d46a70cf84ce14",
|    "kind": "SpreadScaler",
|    "name": "shop-http",
|    "status": {
|     "type": "reconciling"
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
|      "hosts": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "wanted": 1,
|        "have": 1,
|        "state": "silent",
|        "why": "kept",
|        "image": "http:1"
|       }
|      ]
|     }
|    ]
|   }
|  ]
| }
run 1s
|  10.102 status shop: deployed 
