#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# The rules are fetched when the process starts; governance_fail_open: false answers 503 until they are there.
wait_for curl -sf "$KONGDEV_URL/orders"

# Somebody within the quota, and one who is over it. {{0}} and {{1}} are what Moesif says of this user.
answer "$KONGDEV_URL/orders" -H 'X-User: u-1'
answer "$KONGDEV_URL/orders" -H 'X-User: u-free'

# A company that has not paid. For c-new there is no value: the text behind the bar is used.
answer "$KONGDEV_URL/orders" -H 'X-User: u-1' -H 'X-Company: c-late'
answer "$KONGDEV_URL/orders" -H 'X-User: u-1' -H 'X-Company: c-new'

# not_matching: whoever is not in the cohort is meant, applied_to_unidentified: nobody's requests are, too.
answer "$KONGDEV_URL/partners" -H 'X-User: u-partner'
answer "$KONGDEV_URL/partners" -H 'X-User: u-1'
answer "$KONGDEV_URL/partners"

# A rule may look into bodies, and one that does not block adds headers.
answer "$KONGDEV_URL/graphql" -H 'Content-Type: application/json; charset=utf-8' -d '{"operationName":"IntrospectionQuery","query":"query IntrospectionQuery { __schema { types { name } } }"}'
answer "$KONGDEV_URL/v1/orders"

# A blocked request is an event, too, with the answer that the client has got.
events 'map(select(.company_id == "c-late"))[0] // empty | {user_id, company_id, blocked_by, status: .response.status, body: .response.body}'

# Now u-1 goes over the quota: Moesif's next answer to events names a new configuration, and it is fetched.
curl -s "$KONGDEV_ADMIN_URL/kongdev/collector/config" | jq '.user_rules["u-1"] = [{rules: "quota", values: {"0": "Pro", "1": "50000"}}]' |
  curl -s -o /dev/null -X PUT "$KONGDEV_ADMIN_URL/kongdev/collector/config" -d @-
over_quota() { curl -s "$KONGDEV_URL/orders" -H 'X-User: u-1' | grep quota; }
wait_for over_quota
answer "$KONGDEV_URL/orders" -H 'X-User: u-1'
