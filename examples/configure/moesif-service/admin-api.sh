#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# ADMIN_URL is the Admin API of a Kong with a database. A second run is refused: PATCH changes what is there.
set -euo pipefail
ADMIN_URL=${ADMIN_URL:-http://localhost:8001}

# moesif for the service orders
curl -sS --fail-with-body -X POST "$ADMIN_URL/services/orders/plugins" -H 'Content-Type: application/json' --data-binary @- <<'JSON'
{
  "name": "moesif",
  "config": {
    "application_id": "{vault://env/moesif-application-id}"
  }
}
JSON
