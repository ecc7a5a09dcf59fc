#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
alice=shop_yVb3lkfLPN56oySSlsdVxvbq_38AEp7
bob=shop_f6wiR9tTKQ57f0pXJFqgBCWr_1XS7s9

# alice's key has the group reports, alice herself has none.
curl -s "$KONGDEV_URL/reports" -H "X-Api-Key: $alice" | jq -c '.headers | {"x-consumer-username", "x-authenticated-groups"}'
curl -s "$KONGDEV_URL/staff" -H "X-Api-Key: $alice" | jq -r .message

# bob is of the group staff, his key has none.
curl -s "$KONGDEV_URL/staff" -H "X-Api-Key: $bob" -H 'X-Consumer-Groups: reports' | jq -c '.headers | {"x-consumer-username", "x-consumer-groups"}'
curl -s "$KONGDEV_URL/reports" -H "X-Api-Key: $bob" | jq -r .message

# Without a key there is no group to ask for.
status "$KONGDEV_URL/reports"
