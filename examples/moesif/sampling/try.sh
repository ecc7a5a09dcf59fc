#!/usr/bin/env bash
. "$(dirname "$0")/../../show.sh"

# 300 requests that nothing special is said of: about half of them are kept, and each counts twice.
wait_for curl -sf -o /dev/null "$KONGDEV_URL/orders"
curl -s -o /dev/null "$KONGDEV_URL/orders?half=[1-300]"
wait_for all_sent
events 'map(select(.request.uri | contains("half="))) | {about_half: (length > 90 and length < 210), weights: map(.weight) | unique}'

# A user with a rate: all of one, none of another. The rate for everybody does not count then.
curl -s -o /dev/null "$KONGDEV_URL/orders?vip=[1-20]" -H 'X-User: u-vip'
curl -s -o /dev/null "$KONGDEV_URL/orders?robot=[1-20]" -H 'X-User: u-robot'
wait_for all_sent
events '[.[] | select(.user_id == "u-robot")] | {robots: length}'
events 'map(select(.user_id == "u-vip")) | {events: length, weights: map(.weight) | unique}'

# Of a user's and a company's rate the lower one counts.
curl -s -o /dev/null "$KONGDEV_URL/orders?both=[1-300]" -H 'X-User: u-vip' -H 'X-Company: c-big'
wait_for all_sent
events 'map(select(.company_id == "c-big")) | {about_a_quarter: (length > 30 and length < 130), weights: map(.weight) | unique}'

# Rates by what a request is: no health checks, and every answer from 500 on. The first condition that holds counts.
curl -s -o /dev/null "$KONGDEV_URL/ping?n=[1-20]"
curl -s -o /dev/null "$KONGDEV_URL/trouble?n=[1-20]"
wait_for all_sent
events '{pings: map(select(.request.uri | contains("/ping"))) | length, troubles: map(select(.request.uri | contains("/trouble"))) | length} | select(.troubles == 20)'

# What was left out is counted; Kong was asked for nothing that only an event needs.
test "$(metric moesif_events_sampled_out_total)" -gt 300 && echo sampled out
