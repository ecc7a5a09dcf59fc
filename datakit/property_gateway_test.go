package datakit_test

import (
	"strings"
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

// What a workflow leaves to other plugins: null is nothing there, and what Kong would break down on is an error.
func TestSharedValues(t *testing.T) {
	g := startGateway(t, nil, map[string]string{"ctx": `
debug: true
nodes:
- {name: SET, type: property, property: kong.ctx.shared.a, input: request.body}
- {name: GET, type: property, property: kong.ctx.shared.a}
- {name: OUT, type: jq, jq: '{got: .}', input: GET}
- {name: EXIT, type: exit, inputs: {body: OUT}}`})
	send := func(body string) string {
		return g.Send("POST", "/ctx/ok", body, "Content-Type", "application/json").Body
	}
	for body, want := range map[string]string{
		``:                                  `{"got":null}`,
		`null`:                              `{"got":null}`,
		`{"a":null,"b":{"c":null,"d":1.5}}`: `{"got":{"b":{"d":1.5}}}`,
		`["a",{"b":null,"c":"d"}]`:          `{"got":["a",{"c":"d"}]}`,
		`true`:                              `{"got":true}`,
	} {
		assert.JSONEq(t, want, send(body), body)
	}
	deep := func(before, after string, levels int) string {
		return strings.Repeat(before, levels) + "1" + strings.Repeat(after, levels)
	}
	for before, after := range map[string]string{"[": "]", `{"a":`: "}"} {
		assert.JSONEq(t, `{"got":`+deep(before, after, 50)+"}", send(deep(before, after, 50)))
		for _, levels := range []int{51, 100, 5000} {
			assert.Contains(t, send(deep(before, after, levels)), "kong.ctx.shared.a: nested deeper than 50 levels, which the gateway does not take")
		}
	}
}
