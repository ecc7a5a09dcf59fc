#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# Who, what, when, all headers; no bodies, and nothing is added to request and response.
token=eyJhbGciOiJub25lIn0.$(printf '{"sub":"alice"}' | base64 -w0 | tr -d =).
curl -s -o /dev/null "$KONGDEV_URL/orders?page=2" -H "Authorization: Bearer $token" -H 'Content-Type: application/json' -d '{"sku":"A-1"}'
event '{user_id, verb: .request.verb, status: .response.status, length: .request.headers["content-length"], bodies: [.request, .response | has("body")], added: [.request, .response | .headers | has("x-moesif-transaction-id")]}'
events '.[0].transaction_id | length > 0'

# Nothing is buffered: a stream comes as it is made, and is an event when it ends.
curl -s "$KONGDEV_URL/stream/2/10"
event '{uri: (.request.uri | sub(".*/stream"; "/stream")), type: .response.headers["content-type"]}'
