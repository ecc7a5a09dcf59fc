#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# ADMIN_URL is the Admin API of a Kong with a database. A second run is refused: PATCH changes what is there.
# Plugins for consumer groups are there in Kong Enterprise and Konnect only.
# From Enterprise 3.11 on the name is datakit-go.
set -euo pipefail
ADMIN_URL=${ADMIN_URL:-http://localhost:8001}

# keyauth for the service orders
curl -sS --fail-with-body -X POST "$ADMIN_URL/services/orders/plugins" -H 'Content-Type: application/json' --data-binary @- <<'JSON'
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

# datakit for the consumer group gold
curl -sS --fail-with-body -X POST "$ADMIN_URL/consumer_groups/gold/plugins" -H 'Content-Type: application/json' --data-binary @- <<'JSON'
{
  "name": "datakit",
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
