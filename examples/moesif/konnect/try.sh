#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# The first time: the schema is not there yet.
export KONNECT_URL=$KONGDEV_URL KONNECT_TOKEN=example CONTROL_PLANE=9524ec7d-36d9-465d-a8c5-83a3c9390458
"$(dirname "$0")/upload.sh"

# What was sent: the file as one text, then the configuration. The token is in no event.
posted() { echo "map(select(.request.verb == \"POST\" and (.request.uri | endswith(\"/core-entities/$1\"))))[0] // empty | .request"; }
events "$(posted plugin-schemas) | {authorization: .headers.authorization, type: .headers[\"content-type\"], members: (.body | keys)}"
events "$(posted plugin-schemas).body.lua_schema" | jq -j . | cmp - schema/moesif/schema.lua && echo "the same as schema/moesif/schema.lua"
events "$(posted plugins).body"
