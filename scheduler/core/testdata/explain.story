# What an explanation tells: hosts that are not used and why, what is in flight,
# when a failure is retried, and what would help.
host a zone=e
host b zone=e
host c zone=e disk=ssd
host d zone=w
host e zone=e
foreign shop-web@a image=their:1
image web:1 fail=no_such_image
image big:1 fetch=30s
run 1s
deploy shop
  component web image=web:1 instances=2 spread=east:zone=e spread=fast:disk=nvme,zone=w
  component big image=big:1 instances=1
  component next image=big:1 instances=1 config=theirs
|   1.000 scale shop-big@b to 1 of big:1 (spread default wants 1 here, nothing runs)
|   1.000 scale shop-web@c to 1 of web:1 (spread east wants 1 here, nothing runs)
|   1.000 status shop: failed Could not satisfy spread fast for web:1, 0/1 eligible hosts found., Scaling component on 1 host(s), Waiting for configuration theirs
run 3s
|   1.001 status shop: failed Could not satisfy spread fast for web:1, 0/1 eligible hosts found., Scaling component on 1 host(s), Specified configuration theirs does not exist
|   1.001 scale shop-web@e to 1 of web:1 (spread east wants 1 here, nothing runs)
|   1.001 status shop: failed no such image Could not satisfy spread fast for web:1, 0/1 eligible hosts found., Scaling component on 1 host(s), Specified configuration theirs does not exist
|   1.858 scale shop-web@e to 1 of web:1 (spread east wants 1 here, nothing runs)
|   1.910 scale shop-web@c to 1 of web:1 (spread east wants 1 here, nothing runs)
|   3.589 scale shop-web@c to 1 of web:1 (spread east wants 1 here, nothing runs)
|   3.784 scale shop-web@e to 1 of web:1 (spread east wants 1 here, nothing runs)
explain shop
| {
|  "app": "shop",
|  "deployed": true,
|  "gathered": true,
|  "status": {
|   "type": "failed",
|   "message": "no such image Could not satisfy spread fast for web:1, 0/1 eligible hosts found., Scaling component on 1 host(s), Specified configuration theirs does not exist"
|  },
|  "condition": {
|   "type": "failed",
|   "reason": "command-failed",
|   "since": "2026-01-01T00:00:01.001Z"
|  },
|  "scalers": [
|   {
|    "id": "35d2801a5679561b3f56c8f20be56539c6ac698738294805cb9a19d21ca77779",
|    "kind": "SpreadScaler",
|    "name": "shop-web",
|    "status": {
|     "type": "failed",
|     "message": "no such image Could not satisfy spread fast for web:1, 0/1 eligible hosts found."
|    },
|    "condition": {
|     "type": "failed",
|     "reason": "command-failed",
|     "since": "2026-01-01T00:00:01.001Z"
|    },
|    "image": "web:1",
|    "wanted": 2,
|    "have": 0,
|    "spreads": [
|     {
|      "name": "east",
|      "requirements": {
|       "zone": "e"
|      },
|      "wanted": 1,
|      "have": 0,
|      "eligible": 4,
|      "excluded": [
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "backoff",
|        "detail": "no such image"
|       },
|       {
|        "host": "e",
|        "name": "host-e",
|        "reason": "backoff",
|        "detail": "no such image"
|       },
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "foreign",
|        "detail": "runs their:1 of someone else"
|       },
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "unused"
|       },
|       {
|        "host": "d",
|        "name": "host-d",
|        "reason": "label-mismatch",
|        "detail": "zone=e"
|       }
|      ]
|     },
|     {
|      "name": "fast",
|      "requirements": {
|       "disk": "nvme",
|       "zone": "w"
|      },
|      "wanted": 1,
|      "have": 0,
|      "eligible": 0,
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "label-mismatch",
|        "detail": "disk=nvme, zone=w"
|       },
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "label-mismatch",
|        "detail": "disk=nvme, zone=w"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "label-mismatch",
|        "detail": "disk=nvme, zone=w"
|       },
|       {
|        "host": "d",
|        "name": "host-d",
|        "reason": "label-mismatch",
|        "detail": "disk=nvme"
|       },
|       {
|        "host": "e",
|        "name": "host-e",
|        "reason": "label-mismatch",
|        "detail": "disk=nvme, zone=w"
|       }
|      ],
|      "hint": "label host host-d (d) with disk=nvme"
|     }
|    ],
|    "next_retry": "2026-01-01T00:00:07.059882354Z"
|   },
|   {
|    "id": "675994637a609994140d67fcd87fa4e4b3bf0058420dcc3f86740627dc79bd06",
|    "kind": "SpreadScaler",
|    "name": "shop-big",
|    "status": {
|     "type": "reconciling",
|     "message": "Scaling component on 1 host(s)"
|    },
|    "condition": {
|     "type": "reconciling",
|     "reason": "under-way",
|     "since": "2026-01-01T00:00:01Z"
|    },
|    "image": "big:1",
|    "wanted": 1,
|    "have": 0,
|    "spreads": [
|     {
|      "name": "default",
|      "wanted": 1,
|      "have": 0,
|      "eligible": 5,
|      "hosts": [
|       {
|        "host": "b",
|        "name": "host-b",
|        "wanted": 1,
|        "have": 0,
|        "state": "starting",
|        "why": "least-loaded"
|       }
|      ],
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "unused"
|       },
|       {
|        "host": "c",
|        "name": "host-c",
|        "reason": "unused"
|       },
|       {
|        "host": "d",
|        "name": "host-d",
|        "reason": "unused"
|       },
|       {
|        "host": "e",
|        "name": "host-e",
|        "reason": "unused"
|       }
|      ]
|     }
|    ],
|    "in_flight": [
|     {
|      "id": "test.1.1",
|      "kind": "scale_component",
|      "host": "b",
|      "name": "host-b",
|      "reason": "spread default wants 1 here, nothing runs",
|      "age_seconds": 3,
|      "deadline": "2026-01-01T00:02:01Z"
|     }
|    ]
|   },
|   {
|    "id": "3e7d448f25268eb37ddf03a6f46fc77d68b9c7150b2220b3240c1970c93b3f65",
|    "kind": "SpreadScaler",
|    "name": "shop-next",
|    "status": {
|     "type": "failed",
|     "message": "Specified configuration theirs does not exist"
|    },
|    "condition": {
|     "type": "failed",
|     "reason": "no-such-configuration",
|     "since": "2026-01-01T00:00:01.001Z"
|    },
|    "image": "big:1",
|    "waiting": "Specified configuration theirs does not exist",
|    "wanted": 1,
|    "have": 0,
|    "spreads": [
|     {
|      "name": "default",
|      "wanted": 1,
|      "have": 0,
|      "eligible": 5,
|      "hosts": [
|       {
|        "host": "c",
|        "name": "host-c",
|        "wanted": 1,
|        "have": 0,
|        "state": "missing",
|        "why": "least-loaded"
|       }
|      ],
|      "excluded": [
|       {
|        "host": "a",
|        "name": "host-a",
|        "reason": "unused"
|       },
|       {
|        "host": "b",
|        "name": "host-b",
|        "reason": "unused"
|       },
|       {
|        "host": "d",
|        "name": "host-d",
|        "reason": "unused"
|       },
|       {
|        "host": "e",
|        "name": "host-e",
|        "reason": "unused"
|       }
|      ]
|     }
|    ]
|   }
|  ]
| }
undeploy shop
|   4.000 status shop: reconciling Manifest is being undeployed
explain shop
| {
|  "app": "shop",
|  "deployed": false,
|  "gathered": true,
|  "status": {
|   "type": "reconciling",
|   "message": "Manifest is being undeployed"
|  },
|  "condition": {
|   "type": "reconciling",
|   "reason": "being-removed",
|   "since": "2026-01-01T00:00:04Z"
|  },
|  "left": [
|   "scale_component host-b (b) under way"
|  ]
| }
run 60s
|  31.001 scale shop-big@b to 0 of big:1 (no deployed application wants shop-big of application "shop")
|  31.003 status shop: undeployed Manifest has been undeployed
explain shop
| {
|  "app": "shop",
|  "deployed": false,
|  "gathered": true,
|  "status": {
|   "type": "undeployed"
|  }
| }
