# shellcheck shell=bash
# What the try.sh of an example begins with: from here on bash shows each line and then what it prints.
# KONGDEV_URL and KONGDEV_ADMIN_URL come from kongdev, which runs the script; the comment in kong.yml says how.
set -euo pipefail
exec 2>&1
: "${KONGDEV_URL:?is set by kongdev; start the example as its kong.yml says}" "${KONGDEV_ADMIN_URL:?is set by kongdev}"
command -v jq >/dev/null || { echo "the examples want jq, to read JSON: apt-get install jq"; exit 1; }
metrics=http://${METRICS:-127.0.0.1:9542}/metrics # of the examples that have -metrics in their command
shown=0

# wait_for COMMAND repeats it until it succeeds, for two minutes or so.
wait_for() {
  for _ in $(seq 1200); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.1
  done
  echo "not within two minutes: $*; was the example started as its kong.yml says?"
  return 1
}

# events FILTER waits until the filter of jq makes something of the list of all events, and shows that. An event that came
# twice, as one does when the answer to its upload is late, is there once.
events() {
  wait_for_events "$1"
  curl -s "$KONGDEV_ADMIN_URL/kongdev/events" | jq -c "$distinct | $1"
}
wait_for_events() { wait_for bash -o pipefail -c 'curl -s "$KONGDEV_ADMIN_URL/kongdev/events" | jq -e "$1"' - "$distinct | $1"; }
distinct='reduce .events[] as $e ({list: []}; if .seen[$e.transaction_id] then . else .seen[$e.transaction_id] = true | .list += [$e] end) | .list'

# event FILTER shows a part of the next event.
event() {
  shown=$((shown + 1))
  events ".[$shown - 1] // empty | $1"
}

# metric NAME shows a metric of the plugin; all_sent succeeds when every request is an event that was sent, or was left out.
metric() { curl -s "$metrics" | sed -n "s/^$1 //p"; }
all_sent() {
  received=$(metric moesif_events_received_total)
  [ "$received" = "$(curl -s "$KONGDEV_ADMIN_URL/kongdev/stats" | jq .Requests)" ] &&
    [ "$received" = $(($(metric moesif_events_sent_total) + $(metric moesif_events_sampled_out_total))) ]
}

# answer CURL'S-ARGUMENTS shows the answer to a request, without the headers that every answer has.
answer() {
  curl -si "$@" | tr -d '\r' | grep -viE '^(date|server|via|connection|content-length|x-up|x-kong-[a-z-]*|x-moesif-transaction-id):'
}

# keyauth is the command of examples/keyauth, moesif that of examples/moesif.
command -v keyauth >/dev/null || keyauth() { go run ./cmd/keyauth "$@"; }
command -v moesif >/dev/null || moesif() { go run ./cmd/moesif "$@"; }
status() { curl -s -o /dev/null -w '%{http_code}\n' "$@"; }
is() { [ "$(status "${@:2}")" = "$1" ]; }

set -v
