#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# KONNECT_TOKEN is a personal or system access token, CONTROL_PLANE the id of the control plane, which has the schema.
# Konnect has a datakit of its own, so ours is datakit-go there and on the data planes.
set -euo pipefail
: "${KONNECT_TOKEN:?a token}" "${CONTROL_PLANE:?the id of the control plane}"
: "${SERVICE_ORDERS_ID:?the id of the service orders}"
: "${CONSUMER_ALICE_ID:?the id of the consumer alice}"
api=${KONNECT_URL:-https://us.api.konghq.com}/v2/control-planes/$CONTROL_PLANE/core-entities
post() { curl -sS --fail-with-body -X POST "$api/$1" -H @<(echo "Authorization: Bearer $KONNECT_TOKEN") -H 'Content-Type: application/json' --data-binary @-; }

# keyauth for the service orders
post "services/$SERVICE_ORDERS_ID/plugins" <<'JSON'
{
  "name": "keyauth",
  "config": {
    "key_names": [
      "apikey"
    ],
    "credentials": [
      {
        "consumer": "alice",
        "digest": "sha256::fkBGx9ILtmIzoC4TOdsVoKXDMckfRq62jYYTLC4xlko"
      }
    ]
  }
}
JSON

# datakit for the consumer alice
post "consumers/$CONSUMER_ALICE_ID/plugins" <<'JSON'
{
  "name": "datakit-go",
  "config": {
    "nodes": [
      {
        "name": "STATIC_INPUTS",
        "type": "static",
        "values": {
          "headers": {
            "Content-Type": "application/x-www-form-urlencoded"
          },
          "body": "grant_type=client_credentials"
        }
      },
      {
        "name": "BUILD_HEADERS",
        "type": "jq",
        "inputs": {
          "headers": "STATIC_INPUTS.headers",
          "query": "request.query"
        },
        "jq": ".headers * {\n  \"X-Api-Key\": (.query.api_key // \"none\")\n}\n"
      },
      {
        "name": "AUTH_REQUEST",
        "type": "call",
        "inputs": {
          "headers": "BUILD_HEADERS",
          "body": "STATIC_INPUTS.body"
        },
        "url": "https://my-token-service/auth-token",
        "method": "POST"
      },
      {
        "name": "UPSTREAM_AUTH_HEADER",
        "type": "jq",
        "input": "AUTH_REQUEST.body",
        "output": "service_request.headers",
        "jq": "{\n  Authorization: (.token_type + \" \" + .access_token)\n}\n"
      }
    ]
  }
}
JSON
