#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# ADMIN_URL is the Admin API of a Kong with a database. A second run is refused: PATCH changes what is there.
set -euo pipefail
ADMIN_URL=${ADMIN_URL:-http://localhost:8001}

# keyauth for everything
curl -sS --fail-with-body -X POST "$ADMIN_URL/plugins" -H 'Content-Type: application/json' --data-binary @- <<'JSON'
{
  "name": "keyauth",
  "config": {
    "key_names": [
      "apikey"
    ],
    "hide_credentials": true,
    "credentials": [
      {
        "consumer": "alice",
        "digest": "sha256::fkBGx9ILtmIzoC4TOdsVoKXDMckfRq62jYYTLC4xlko"
      }
    ]
  }
}
JSON
