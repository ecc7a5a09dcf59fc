#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
exec 3>/dev/null # what commands say beside their result: ids and hints, which differ each time
ask() { status "$KONGDEV_URL/orders" -H "apikey: $1"; }
works() { [ "$(ask "$1")" = "$2" ]; }

# A key for alice, for reading only, until 2100. It is shown this once.
old=$(keyauth keys create -consumer alice -prefix shop -scopes method:GET -expires 2100-01-01 -kong-prefix "$KONGDEV_PREFIX" 2>&3)
wait_for works "$old" 200

# A new one is made. For two days both work: time to change what alice's programs use.
new=$(printf %s "$old" | keyauth keys rotate -key-stdin -grace 48h -expires never -kong-prefix "$KONGDEV_PREFIX" 2>&3)
wait_for works "$new" 200
ask "$old"

# The new one is for reading only, too.
status "$KONGDEV_URL/orders" -H "apikey: $new" -X DELETE

# Something leaked: the old key ends now.
printf %s "$old" | keyauth keys revoke -key-stdin -kong-prefix "$KONGDEV_PREFIX" >&3
wait_for works "$old" 401
ask "$new"
keyauth keys list -kong-prefix "$KONGDEV_PREFIX" -o json | jq -c '.[] | {consumer, state, scopes}'
