#!/usr/bin/env bash
# One request per plugin through the gateway of compose.yml or compose.mount.yml, and a look at what each plugin did.
# GATEWAY_URL is where the proxy listens; EVENTS is the command that prints moesif's file of events.
set -euo pipefail
url=${GATEWAY_URL:-${KONGDEV_URL:-http://127.0.0.1:8000}}
compose=${COMPOSE:-docker/compose.yml}
EVENTS=${EVENTS:-docker compose -f $compose exec -T kong cat /tmp/moesif-events.ndjson}

fail() { echo "FAILED: $*" >&2; exit 1; }

color=c$RANDOM$RANDOM # finds this run's event among those of earlier ones

got=$(curl -sS -o /dev/null -w '%{http_code}' "$url/orders") ||
  fail "no gateway answers at $url: start it by docker compose -f $compose up --build --wait, or name another one in GATEWAY_URL"
[ "$got" = 401 ] || fail "keyauth: without a key 401 was expected, got $got"
echo "keyauth: a request without a key is refused"

answer=$(curl -sS -f -H 'apikey: demo-key-of-alice' "$url/orders?color=$color") || fail "keyauth: alice's key was not accepted"
grep -q '"x-consumer-username": *"alice"' <<<"$answer" || fail "keyauth: the upstream does not learn of alice: $answer"
grep -q demo-key-of-alice <<<"$answer" && fail "keyauth: the upstream sees the key"
echo "keyauth: alice's key is accepted, the upstream learns her name and not the key"

grep -q '"x-demo-color": *"'$color'"' <<<"$answer" || fail "datakit: the upstream has no header X-Demo-Color: $answer"
echo "datakit: the workflow's header reached the upstream"

for _ in $(seq 300); do
  events=$($EVENTS 2>/dev/null) || events=""
  if grep "color=$color" <<<"$events" | grep '"status":200' | grep -q '"user_id":"alice"'; then
    grep -q demo-key-of-alice <<<"$events" && fail "moesif: an event holds the key"
    echo "moesif: the request is an event, of alice"
    exit 0
  fi
  sleep 0.1
done
fail "moesif: no event of the request within 30 seconds; it was looked for by: $EVENTS"
