# A daemon scaler wants its instances on each host it is for: what is told as
# wanted is all of them together, as what is there. A host that another spread of
# the application has is not one of them.
host a zone=e edge=y
host b zone=e
host c zone=w
deploy shop
  component web image=web:1 daemon=2 spread=edge:edge=y spread=zone:zone=e spread=mars:zone=m
  provider http image=http:1 daemon=2
run 10s
|   0.102 start provider shop-http@a http:1 (spread default wants it here, it does not run)
|   0.102 start provider shop-http@b http:1 (spread default wants it here, it does not run)
|   0.102 start provider shop-http@c http:1 (spread default wants it here, it does not run)
|   0.102 scale shop-web@a to 2 of web:1 (spread edge wants 2 here, nothing runs)
|   0.102 scale shop-web@b to 2 of web:1 (spread zone wants 2 here, nothing runs)
|   0.102 status shop: failed Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found., Scaling provider on 3 host(s)
|   0.103 status shop: failed Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found., Scaling provider on 2 host(s)
|   0.103 status shop: failed Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found., Scaling provider on 1 host(s)
|   0.103 status shop: failed Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found.
explain shop
| {
|  "app": "shop",
|  "deployed": true,
|  "gathered": true,
|  "status": {
|   "type": "failed",
|   "message": "Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found."
|  },
|  "condition": {
|   "type": "failed",
|   "reason": "too-few-hosts",
|   "since": "2026-01-01T00:00:00.102Z"
|  },
|  "scalers": [
|   {
|    "id": "8f08f385b94161fc2555803923582bb91d9fe85e38c6fa667361357754678dcb",
|    "kind": "DaemonScaler",
|    "name": "shop-web",
|    "status": {
|     "type": "failed",
|     "message": "Could not satisfy daemonscaler mars for web:1, 0 eligible hosts found."
|    },
|    "condition": {
|     "type": "failed",
|     "reason": "too-few-hosts",
|     "since": "2026-01-01T00:00:00.102Z"
|    },
|    "image": "web:1",
|    "wanted": 4,
|    "have": 4,
|    "spreads": [
|     {
|      "name": "edge",
|      "requirements": {
|       "edge": "y"
|      },
|      "wanted": 2,
|      "have": 2,
|      "eligible": 1,
|      "hosts": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "wanted": 2,
|        "have": 2,
|        "state": "running",
|        "why": "everywhere",
|        "image": "web:1"
|       }
|      ],
|      "excluded": [
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "label-mismatch",
|        "detail": "edge=y"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "label-mismatch",
|        "detail": "edge=y"
|       }
|      ]
|     },
|     {
|      "name": "zone",
|      "requirements": {
|       "zone": "e"
|      },
|      "wanted": 2,
|      "have": 2,
|      "eligible": 2,
|      "hosts": [
|       {
|        "host": "b",
|        "name": "host-b",
|        "wanted": 2,
|        "have": 2,
|        "state": "running",
|        "why": "everywhere",
|        "image": "web:1"
|       }
|      ],
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "occupied",
|        "detail": "by spread edge of application shop"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "label-mismatch",
|        "detail": "zone=e"
|       }
|      ]
|     },
|     {
|      "name": "mars",
|      "requirements": {
|       "zone": "m"
|      },
|      "wanted": 0,
|      "have": 0,
|      "eligible": 0,
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "label-mismatch",
|        "detail": "zone=m"
|       },
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "label-mismatch",
|        "detail": "zone=m"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "label-mismatch",
|        "detail": "zone=m"
|       }
|      ],
|      "hint": "label host host-a (a) with zone=m"
|     }
|    ]
|   },
|   {
|    "id": "1c9a046e54f7b8ec81d690d9d4cee4aa70d7195551aa8ce094c12ea92bd70703",
|    "kind": "DaemonScaler",
|    "name": "shop-http",
|    "status": {
|     "type": "deployed"
|    },
|    "condition": {
|     "type": "deployed",
|     "reason": "as-wanted",
|     "since": "2026-01-01T00:00:00.103Z"
|    },
|    "image": "http:1",
|    "wanted": 3,
|    "have": 3,
|    "spreads": [
|     {
|      "name": "default",
|      "wanted": 3,
|      "have": 3,
|      "eligible": 3,
|      "hosts": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "wanted": 1,
|        "have": 1,
|        "state": "running",
|        "why": "everywhere",
|        "image": "http:1"
|       },
|       {
|        "host": "b",
|        "name": "host-b",
|        "wanted": 1,
|        "have": 1,
|        "state": "running",
|        "why": "everywhere",
|        "image": "http:1"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "wanted": 1,
|        "have": 1,
|        "state": "running",
|        "why": "everywhere",
|        "image": "http:1"
|       }
|      ]
|     }
|    ]
|   }
|  ]
| }
