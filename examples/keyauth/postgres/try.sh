#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
ask() { status "$KONGDEV_URL/orders" -H "X-Api-Key: $1"; }
works() { [ "$(ask "$1")" = "$2" ]; }

# Without its database nobody knows whose a key is: that is an error, not a wrong key.
ask alices-key-of-many-letters

# The database is there. A consumer and a key are made, as by Kong's Admin API.
set +v; . "$(dirname "$0")/database.sh"; set -v # starts PostgreSQL
sql "SELECT make_consumer('alice'), make_key('alice', 'alices-key-of-many-letters')" >/dev/null
wait_for works alices-key-of-many-letters 200
curl -s "$KONGDEV_URL/orders" -H 'X-Api-Key: alices-key-of-many-letters' | jq -r '.headers["x-consumer-username"]'
wait_for works guessed 401

# A second key is made, and works beside the first.
sql "SELECT make_key('alice', 'alices-next-key-of-many-letters')" >/dev/null
wait_for works alices-next-key-of-many-letters 200
wait_for works alices-key-of-many-letters 200

# The first one is revoked. That counts within seconds, though answers are remembered for a minute.
sql "SELECT revoke_key('alices-key-of-many-letters')" >/dev/null
wait_for works alices-key-of-many-letters 401
wait_for works alices-next-key-of-many-letters 200

# The database is away. What is known goes on for stale_ms; of other keys nothing can be said.
stop_database
ask alices-next-key-of-many-letters
wait_for works never-asked-before 500

# It is back.
start_database
wait_for works never-asked-before 401
