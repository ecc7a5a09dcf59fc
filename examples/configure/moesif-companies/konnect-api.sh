#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# KONNECT_TOKEN is a personal or system access token, CONTROL_PLANE the id of the control plane, which has the schema.
set -euo pipefail
: "${KONNECT_TOKEN:?a token}" "${CONTROL_PLANE:?the id of the control plane}"
api=${KONNECT_URL:-https://us.api.konghq.com}/v2/control-planes/$CONTROL_PLANE/core-entities
post() { curl -sS --fail-with-body -X POST "$api/$1" -H @<(echo "Authorization: Bearer $KONNECT_TOKEN") -H 'Content-Type: application/json' --data-binary @-; }

# moesif for everything
post "plugins" <<'JSON'
{
  "name": "moesif",
  "config": {
    "application_id": "{vault://env/moesif-application-id}",
    "company_id_header": "X-Company-Id",
    "authorization_company_id_field": "organization"
  }
}
JSON
