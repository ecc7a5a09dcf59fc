#!/usr/bin/env bash
. "$(dirname "$0")/../show.sh"

# A request with a body, a user in its token, and the event of it.
token=eyJhbGciOiJub25lIn0.$(printf '{"sub":"alice","org":"acme"}' | base64 -w0 | tr -d =).
curl -s -o /dev/null "$KONGDEV_URL/orders?page=2" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{"sku":"A-1","qty":2}'
event '.request | {verb, uri: (.uri | sub("127.0.0.1:[0-9]+"; "HOST")), authorization: .headers.authorization, body, transfer_encoding}'
events '.[0].response | {status, body: (.body | {method, uri, body_len})}'
events '.[0] | {user_id, direction, weight, kong: .metadata.kong | {route_name, service_name}}'
