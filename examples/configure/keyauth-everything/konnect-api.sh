#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# KONNECT_TOKEN is a personal or system access token, CONTROL_PLANE the id of the control plane, which has the schema.
set -euo pipefail
: "${KONNECT_TOKEN:?a token}" "${CONTROL_PLANE:?the id of the control plane}"
api=${KONNECT_URL:-https://us.api.konghq.com}/v2/control-planes/$CONTROL_PLANE/core-entities
post() { curl -sS --fail-with-body -X POST "$api/$1" -H @<(echo "Authorization: Bearer $KONNECT_TOKEN") -H 'Content-Type: application/json' --data-binary @-; }

# keyauth for everything
post "plugins" <<'JSON'
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
