#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
who() { curl -s "$KONGDEV_URL/orders" "$@" | jq -c '.headers | {"x-consumer-username", "x-anonymous-consumer"}'; }

# With a key, without one, and with a wrong one.
who -H 'X-Api-Key: shop_yVb3lkfLPN56oySSlsdVxvbq_38AEp7'
who
who -H 'X-Api-Key: guessed'

# Nobody becomes somebody by saying so.
who -H 'X-Consumer-Username: alice' -H 'X-Anonymous-Consumer: false'
