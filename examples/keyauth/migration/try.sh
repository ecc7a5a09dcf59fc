#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
keys() { keyauth keys "$@" -kong-prefix "$KONGDEV_PREFIX"; }

# What would be done, and then do it. Of a Kong with a database: -from-admin-api http://127.0.0.1:8001
keys import -from examples/keyauth/migration/before.yml -dry-run
keys import -from examples/keyauth/migration/before.yml

# Clients notice nothing.
wait_for is 200 "$KONGDEV_URL/orders" -H 'X-Api-Key: Yw8KmQ0ZL2bXh4vT9rNd6sPf3cJg7uEa'
curl -s "$KONGDEV_URL/orders" -H 'X-Api-Key: bobs-birthday' | jq -c '.headers | {"x-consumer-username", "x-api-key"}'

# It can be repeated: what was disabled here stays so. A key that was revoked here and is still in the source would come back.
printf bobs-birthday | keys disable -key-stdin -o json | jq -c '.disabled[] | {consumer, state}'
keys import -from examples/keyauth/migration/before.yml
wait_for is 401 "$KONGDEV_URL/orders" -H 'X-Api-Key: bobs-birthday'

# No key is left in clear.
grep -c -e bobs-birthday -e Yw8KmQ0ZL2bXh4vT9rNd6sPf3cJg7uEa "$KONGDEV_PREFIX/keyauth/keys.jsonl" || true
