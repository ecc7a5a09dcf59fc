#!/usr/bin/env bash
# Written from kong.yml by examples/render: change that, then run make generate.
# ADMIN_URL is the Admin API of a Kong with a database. A second run is refused: PATCH changes what is there.
# From Enterprise 3.11 on the name is datakit-go.
set -euo pipefail
ADMIN_URL=${ADMIN_URL:-http://localhost:8001}

# datakit for the route orders-list
curl -sS --fail-with-body -X POST "$ADMIN_URL/routes/orders-list/plugins" -H 'Content-Type: application/json' --data-binary @- <<'JSON'
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
