#!/usr/bin/env bash
# Uploads the plugin's schema to a control plane of Konnect, or replaces it, and configures the plugin at the first time.
# It wants curl, jq, and these:
: "${KONNECT_URL:?is not set: https://REGION.api.konghq.com}" "${KONNECT_TOKEN:?is not set: a personal or system access token}" "${CONTROL_PLANE:?is not set: the id of the control plane}"
set -euo pipefail
here=$(dirname "$0")
api=$KONNECT_URL/v2/control-planes/$CONTROL_PLANE/core-entities

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# call METHOD PATH prints the status of a call whose body, if any, is on standard input. The token is in no command line.
call() {
  curl -sS -o "$answer" -w '%{http_code}' -X "$1" "$api/$2" -H @<(echo "Authorization: Bearer $KONNECT_TOKEN") -H 'Content-Type: application/json' "${@:3}"
}
expect() {
  echo "$1: $2"
  case $2 in 200 | 201) ;; *) echo "Konnect did not take it: $(cat "$answer")" >&2; exit 1 ;; esac
}

body=$(jq -Rs '{lua_schema: .}' "$here/../../../schema/moesif/schema.lua")
case $(call GET plugin-schemas/moesif) in
200) expect "schema replaced" "$(call PUT plugin-schemas/moesif -d @- <<<"$body")" ;;
404)
  expect "schema created" "$(call POST plugin-schemas -d @- <<<"$body")"
  expect "plugin configured" "$(call POST plugins -d @- <"$here/plugin.json")"
  ;;
401 | 403) echo "Konnect does not take the token" >&2; exit 1 ;;
*) echo "Konnect cannot be asked: check KONNECT_URL and CONTROL_PLANE" >&2; exit 1 ;;
esac
