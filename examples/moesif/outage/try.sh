#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"
requests() { curl -s -o /dev/null -w '%{http_code}\n' "$KONGDEV_URL/orders?n=$1" | sort | uniq -c | xargs; }
waiting() { [ "$(metric moesif_spool_events)" = "$1" ]; }
stored() { [ "$(moesif replay -dry-run "$KONGDEV_PREFIX/moesif-spool" | grep -o 'orders?n=[0-9]*' | sort -u | wc -l)" = "$1" ]; }
taken() { curl -sf -o /dev/null "$KONGDEV_URL/orders?n=$1"; [ "$(metric moesif_spool_events)" -gt "$1" ]; }
plugin() { curl -s "$KONGDEV_ADMIN_URL/kongdev/stats" | jq .PluginPIDs.moesif; }
worker() { cat /proc/[0-9]*/stat 2>/dev/null | awk -v parent="$(plugin)" '$4 == parent { print $1 }' || true; }
another() { new=$("$1") && [ "${new:-0}" != 0 ] && [ "$new" != "$2" ]; }
numbers() { events "map(.request.uri | capture(\"n=(?<n>[0-9]+)\").n) | unique | length | select(. == $1)"; }

# The collector is down. 20 requests do not notice; their events wait in memory and, after milliseconds, on disk.
curl -s -o /dev/null -X PUT "$KONGDEV_ADMIN_URL/kongdev/collector/fault" -d '{"status": 503, "all": true}'
requests '[1-20]'
wait_for stored 20

# The worker is killed. The supervisor starts another one at once, which finds the events of the first.
old=$(worker); kill -9 "$old"
wait_for another worker "$old"
wait_for waiting 20
requests '[21-40]'
wait_for stored 40

# Worker and supervisor are killed. Kong starts both again.
old=$(plugin); kill -9 "$(worker)" "$old"
wait_for another plugin "$old"
wait_for taken 40
requests '[41-60]'

# The collector is back: there are all of them.
curl -s -o /dev/null -X DELETE "$KONGDEV_ADMIN_URL/kongdev/collector/fault"
numbers 60

# The collector takes events, and its answer is lost: they are sent again, with the same ids, so that they count once.
curl -s -o /dev/null -X PUT "$KONGDEV_ADMIN_URL/kongdev/collector/fault" -d '{"cut": true, "after": true, "times": 1}'
requests '[61-80]'
numbers 80
wait_for waiting 0
curl -s "$KONGDEV_ADMIN_URL/kongdev/events" | jq -c '{some_came_twice: (.repeated_transactions > 0)}'
