#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# Without a key, and with a wrong one: the same status, another message.
answer "$KONGDEV_URL/orders" | sed -E 's/"request_id":"[0-9a-f]+"/"request_id":"..."/'
curl -s "$KONGDEV_URL/orders" -H 'X-Api-Key: guessed' | jq -r .message

# With alice's key the service learns who asks, and does not see the key.
alice=shop_yVb3lkfLPN56oySSlsdVxvbq_38AEp7
curl -s "$KONGDEV_URL/orders?page=2" -H "X-Api-Key: $alice" -H 'X-Consumer-Username: root' | jq -c '.headers | {"x-consumer-username", "x-consumer-custom-id", "x-credential-identifier", "x-api-key"}'

# In the query it works, too, and is taken out of there.
curl -s "$KONGDEV_URL/orders?page=2&x-api-key=$alice" | jq -r .uri

# bob's key is for reading only.
bob=shop_f6wiR9tTKQ57f0pXJFqgBCWr_1XS7s9
curl -s -o /dev/null -w '%{http_code}\n' "$KONGDEV_URL/orders" -H "X-Api-Key: $bob"
curl -s -o /dev/null -w '%{http_code}\n' "$KONGDEV_URL/orders" -H "X-Api-Key: $bob" -X POST

# What stands in the configuration was made of the key.
printf %s "$alice" | openssl dgst -sha256 -binary | basenc --base64url | tr -d =
