#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# Members by name (password) and by path ($.user.ssn, items[*].card), a header, an argument of the query.
order='{"user":{"name":"ann","ssn":"078-05-1120"},"items":[{"card":"4111111111111111","qty":2}],"password":"pw-1"}'
curl -s -o /dev/null "$KONGDEV_URL/remove?page=2&api_key=key-1" -H 'Content-Type: application/json' -H 'X-Session: s-1' -d "$order"
event '.request | {uri: (.uri | sub(".*\\?"; "?")), "x-session": .headers["x-session"], body}'

# The same with mask_action stars, and hash: equal values have equal hashes, and nobody can tell which they are.
curl -s -o /dev/null "$KONGDEV_URL/stars?page=2&api_key=key-1" -H 'Content-Type: application/json' -H 'X-Session: s-1' -d "$order"
event '.request | {uri: (.uri | sub(".*\\?"; "?")), "x-session": .headers["x-session"], body}'
curl -s -o /dev/null "$KONGDEV_URL/hash?page=2&api_key=key-1" -H 'Content-Type: application/json' -H 'X-Session: s-1' -d "$order"
event '.request | {uri: (.uri | sub(".*\\?"; "?")), "x-session": .headers["x-session"], body}'

# Forms, multipart and XML have names, too. What is not JSON travels in base64.
curl -s -o /dev/null "$KONGDEV_URL/remove" -d 'name=ann&password=pw-1&remember=yes'
event '.request.body | @base64d'
curl -s -o /dev/null "$KONGDEV_URL/stars" -d 'name=ann&password=pw-1&remember=yes'
event '.request.body | @base64d'
curl -s -o /dev/null "$KONGDEV_URL/stars" -H 'Content-Type: text/xml' -d '<order><name>ann</name><password>pw-1</password></order>'
event '.request.body | @base64d'

# Detectors find values wherever they stand: card numbers with a valid check digit, e-mail addresses, tokens.
curl -s -o /dev/null "$KONGDEV_URL/stars" -H 'Content-Type: application/json' -d '{"note":"card 4111 1111 1111 1111 of ann@example.com, order 4111 1111 1111 1112"}'
event '.request.body'

# A body that cannot be read with certainty is left out as long as a mask names members.
curl -s -o /dev/null "$KONGDEV_URL/remove" -H 'Content-Type: application/json' -d '{"password": broken'
event '.request | {has_body: has("body")}'
curl -s -o /dev/null "$KONGDEV_URL/remove" -H 'Content-Type: text/plain' -d 'the password is pw-1'
event '.request | {has_body: has("body")}'

# Responses have masks of their own; Authorization is never sent, and still says who called.
curl -s -o /dev/null "$KONGDEV_URL/accounts" -u ann:secret
event '{user_id, authorization: .request.headers.authorization, response: .response.body}'
