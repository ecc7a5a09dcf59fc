package datakit_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// A consumer that a workflow sets has no credential: neither its own id for one, nor that of who was there before.
func TestSetConsumer(t *testing.T) {
	g := kongdevtest.Start(t, kongdevtest.Options{Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1, Config: `
_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - {name: all, paths: [/]}
consumers:
- username: ann
  keyauth_credentials: [{key: ann-key}]
- {username: bob, custom_id: b-1}
plugins:
- name: kongdev-auth
- name: datakit
  config:
    nodes:
    - {name: BEFORE, type: property, property: kong.client.credential}
    - {name: WHO, type: jq, jq: '{username: .name}', inputs: {name: request.query.name, after: BEFORE}}
    - {name: SET, type: property, property: kong.client.consumer, input: WHO}
    - {name: IS_SET, type: jq, jq: '. != null', input: SET}
    - {name: THEN, type: branch, input: IS_SET, then: [CONSUMER, CREDENTIAL]}
    - {name: CONSUMER, type: property, property: kong.client.consumer}
    - {name: CREDENTIAL, type: property, property: kong.client.credential}
    - {name: OUT, type: jq, jq: '{before: (.before.id != null), consumer: (.consumer | del(.id, .created_at)), credential}', inputs: {before: BEFORE, consumer: CONSUMER, credential: CREDENTIAL}}
    - {name: EXIT, type: exit, inputs: {body: OUT}}
`})
	r := g.Send("GET", "/?name=bob", "", "apikey", "ann-key")
	assert.JSONEq(t, `{"before":true,"consumer":{"username":"bob","custom_id":"b-1"},"credential":null}`, r.Body)
	r = g.Send("GET", "/?name=nobody", "", "apikey", "ann-key")
	assert.Equal(t, 500, r.Status)
	g.WaitLog("node #3 (SET) failed with error: \"kong.client.consumer: there is no such consumer\"")
}
