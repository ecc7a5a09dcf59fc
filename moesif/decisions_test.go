package moesif

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A decision is one row of what correct means: where Moesif's documentation, its Lua plugin and common sense differ, this
// is what an event shows. Other rows have tests of their own, whose names end with their number.
type decision struct {
	name     string
	config   string // further settings
	log      string // Kong's log entry
	request  string // bodies
	response string
	want     map[string]string // by path; "" is an absent member
}

func decisions() []decision {
	const jsonType, textType = `"content-type":"application/json"`, `"content-type":"text/plain"`
	log := func(request, response string) string {
		return fmt.Sprintf(`{"started_at":1772360430007,"latencies":{"request":1},"request":{"method":"GET","url":"http://h:80/","headers":{%s}},"response":{"status":200,"headers":{%s}}}`, request, response)
	}
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	at := func(headers, url string) string {
		return fmt.Sprintf(`{"request":{"method":"GET","url":%q,"headers":{%s}}}`, url, headers)
	}
	const masks = `,"request_body_masks":["secret"],"response_body_masks":["secret"]`
	return []decision{
		{"D2 time", "", log("", ""), "", "", map[string]string{"request.time": "2026-03-01T10:20:30.007Z", "response.time": "2026-03-01T10:20:30.008Z"}},
		{"D2 a second that is whole", "", `{"started_at":1772360430000,"latencies":{"request":0}}`, "", "", map[string]string{"request.time": "2026-03-01T10:20:30.000Z", "response.time": "2026-03-01T10:20:30.000Z"}},
		{"D3 uri", "", at("", "https://api:443/a%2fb/../c?q=%zz&q=1"), "", "", map[string]string{"request.uri": "https://api:443/a%2fb/../c?q=%zz&q=1"}},
		{"D3 masked", `,"request_query_masks":["q"]`, at("", "https://api:443/a?q=1"), "", "", map[string]string{"request.uri": "https://api:443/a?q=*****"}},
		{"D4 names and repeated headers", "", log(`"X-One":"1","x-two":["a","b"]`, `"Set-Cookie":["a=1; Path=/","b=2"]`), "", "",
			map[string]string{"request.headers.x-one": "1", "request.headers.x-two": "a, b", "response.headers.set-cookie": "a=1; Path=/, b=2", "request.headers.X-One": ""}},
		{"D5 header masks", `,"request_header_masks":["X-ONE"],"response_header_masks":["set-cookie"]`, log(`"x-one":"1","x-two":"2"`, `"set-cookie":["a=1","b=2"],"x-one":"3"`), "", "",
			map[string]string{"request.headers.x-one": "", "request.headers.x-two": "2", "response.headers.set-cookie": "", "response.headers.x-one": "3"}},
		{"D6 a key at every depth, in its case", masks, log(jsonType, jsonType), `{"secret":1,"a":[{"secret":{"b":2},"Secret":3}]}`, `[{"secret":1},[[{"secret":2,"c":4}]]]`,
			map[string]string{"request.body": `{"a":[{"Secret":3}]}`, "response.body": `[{},[[{"c":4}]]]`}},
		{"D6 a path", `,"request_body_masks":["$.user.ssn","items[*].card"]`, log(jsonType, ""), `{"user":{"ssn":1,"n":2},"ssn":3,"items":[{"card":4,"n":5}],"card":6}`, "",
			map[string]string{"request.body": `{"user":{"n":2},"ssn":3,"items":[{"n":5}],"card":6}`}},
		{"D7 exactly that name, everywhere", `,"request_query_masks":["api-key"]`, at("", "http://h:80/p?xapi-key=1&api-key=2&a=%41&api%2Dkey=3&API-KEY=4&api-key=&api-key"), "", "",
			map[string]string{"request.uri": "http://h:80/p?xapi-key=1&api-key=*****&a=%41&api%2Dkey=*****&API-KEY=4&api-key=&api-key"}},
		{"D8 JSON as it is", "", log(`"content-type":"Application/Problem+JSON; x=y"`, jsonType), `{"b":1,"a":[],"b":2}`, `12345678901234567890`,
			map[string]string{"request.body": `{"b":1,"a":[],"b":2}`, "response.body": `12345678901234567890`, "response.transfer_encoding": "json"}},
		{"D8 byte order mark, white space, any top", "", log(jsonType, `"content-type":"x/y+json"`), "\xef\xbb\xbf { \"a\" : [ ] } ", ` "x" `,
			map[string]string{"request.body": `{"a":[]}`, "request.transfer_encoding": "json", "response.body": "x", "response.transfer_encoding": "json"}},
		{"D8 broken JSON", "", log(jsonType, ""), `{"a":1`, "", map[string]string{"request.body": b64(`{"a":1`), "request.transfer_encoding": "base64"}},
		{"D9 other bodies", "", log(`"content-type":"application/x-www-form-urlencoded"`, textType), "a=1", `{"a":1}`,
			map[string]string{"request.body": b64("a=1"), "request.transfer_encoding": "base64", "response.body": b64(`{"a":1}`), "response.transfer_encoding": "base64"}},
		{"D11 no body", "", log(jsonType, jsonType), "", "", map[string]string{"request.body": "", "request.transfer_encoding": "", "response.body": "", "response.transfer_encoding": ""}},
		{"D12 at the limit", `,"request_max_body_size_limit":5,"response_max_body_size_limit":5`, log(textType, textType), "12345", "12345",
			map[string]string{"request.body": b64("12345"), "response.body": b64("12345")}},
		{"D12 over the limit", `,"request_max_body_size_limit":5,"response_max_body_size_limit":5`, log(textType, textType), "123456", "123456",
			map[string]string{"request.body": "", "request.transfer_encoding": "", "response.body": "", "response.transfer_encoding": ""}},
		{"D13 what cannot be masked", masks, log(jsonType, textType), `{"secret":1`, "text", map[string]string{"request.body": "", "request.transfer_encoding": "", "response.body": "", "response.transfer_encoding": ""}},
		{"D13 unless wanted", masks + `,"unmaskable_bodies":"send"`, log("", textType), "", "text", map[string]string{"response.body": b64("text")}},
		{"D19 metadata", "", `{"route":{"name":"r","hosts":["a","b"]},"service":{"name":"s"},"request":{"id":"i"}}`, "", "",
			map[string]string{"metadata.kong.route_hosts": `["a","b"]`, "metadata.kong.route_name": "r", "metadata.kong.service_name": "s", "metadata.kong.request_id": "i"}},
		{"D19 nothing known", "", `{}`, "", "", map[string]string{"metadata.kong": `{}`}},
		{"D20 direction and weight", "", `{}`, "", "", map[string]string{"direction": "Incoming", "weight": "1"}},
	}
}

func TestDecisions(t *testing.T) {
	for _, d := range decisions() {
		t.Run(d.name, func(t *testing.T) {
			x := exchangeOf(t, d.log)
			x.requestBody, x.responseBody = []byte(d.request), []byte(d.response)
			event := encodeEvent(x, settingsOf(t, `{"application_id":"a"`+d.config+`}`))
			for path, want := range d.want {
				assert.Equal(t, want, memberOf(t, event, path), path)
			}
		})
	}
}

// D10 is a table of codings, in both directions.
func TestCodingsD10(t *testing.T) {
	packed := gzipped(t, `{"a":1}`)
	text := gzipped(t, "text")
	bomb := gzipped(t, strings.Repeat("0", 1001))
	for _, c := range []struct{ name, config, kind, body, want, encoding string }{
		{"object, whatever the type", "", "text/plain", packed, `{"a":1}`, "json"},
		{"other", "", "text/plain", text, base64.StdEncoding.EncodeToString([]byte("text")), "base64"},
		{"over 10 times the limit", `,"request_max_body_size_limit":100,"response_max_body_size_limit":100`, "text/plain", bomb, base64.StdEncoding.EncodeToString([]byte(bomb)), "base64"},
		{"switched off", `,"disable_gzip_payload_decompression":true`, "application/json", packed, base64.StdEncoding.EncodeToString([]byte(packed)), "base64"},
	} {
		headers := `"headers":{"content-type":"` + c.kind + `","content-encoding":"gzip"}`
		x := exchangeOf(t, `{"request":{`+headers+`},"response":{`+headers+`}}`)
		x.requestBody, x.responseBody = []byte(c.body), []byte(c.body)
		event := encodeEvent(x, settingsOf(t, `{"application_id":"a"`+c.config+`}`))
		for _, side := range []string{"request", "response"} {
			assert.Equal(t, c.want, memberOf(t, event, side+".body"), c.name)
			assert.Equal(t, c.encoding, memberOf(t, event, side+".transfer_encoding"), c.name)
		}
	}
}

// memberOf returns a member of an event: a text decoded, all else as JSON, "" for none.
func memberOf(t *testing.T, event []byte, path string) string {
	t.Helper()
	v := json.RawMessage(event)
	for name := range strings.SplitSeq(path, ".") {
		var members map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(v, &members), path)
		v = members[name]
	}
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// Every field changes something, or its description says that it does not: what the event shows, or what the queue and
// the phases go by, whose tests say what comes of it.
func TestEveryFieldHasAnEffect(t *testing.T) {
	const base = `"application_id":"a","mask_hash_key":"k"`
	values := map[string]string{
		"application_id": `"b"`, "api_endpoint": `"http://h"`, "connect_timeout": `7`, "send_timeout": `7`, "keepalive": `7`, "event_queue_size": `7`,
		"api_version": `"2"`, "disable_capture_request_body": `true`, "disable_capture_response_body": `true`, "request_masks": `["m"]`, "request_body_masks": `["m"]`,
		"request_header_masks": `["x-m"]`, "response_masks": `["m"]`, "response_body_masks": `["m"]`, "response_header_masks": `["x-m"]`, "request_query_masks": `["m"]`,
		"batch_size": `7`, "disable_transaction_id": `true`, "debug": `true`, "disable_gzip_payload_decompression": `true`, "user_id_header": `"x-m"`, "company_id_header": `"x-m"`,
		"authorization_header_name": `"x-token"`, "authorization_user_id_field": `"other"`, "authorization_company_id_field": `"org"`, "request_max_body_size_limit": `7`,
		"response_max_body_size_limit": `7`, "enable_compression": `true`, "flush_after_ms": `77`, "queue_max_bytes": `1048577`, "drop_policy": `"newest"`, "spool_dir": `"/tmp/x"`,
		"spool_max_bytes": `1048577`, "spool_max_age": `77`, "session_token_mode": `"id"`, "trust_consumer_headers": `false`, "governance_fail_open": `false`, "rule_headers": `true`,
		"mask_action": `"hash"`, "mask_hash_key": `"l"`, "mask_detectors": `["email"]`, "unmaskable_bodies": `"send"`, "skip_body_types": `["application/json"]`,
	}
	// What shows only beside another field.
	beside := map[string]string{
		"mask_action": `,"request_body_masks":["m"]`, "mask_hash_key": `,"request_body_masks":["m"],"mask_action":"hash"`,
		"unmaskable_bodies": `,"response_body_masks":["m"]`, "trust_consumer_headers": `,"authorization_header_name":""`, "authorization_header_name": `,"trust_consumer_headers":false`,
		"authorization_user_id_field": `,"trust_consumer_headers":false`,
	}
	inEvent := map[string]bool{}
	for _, name := range strings.Fields(`api_version request_masks request_body_masks request_header_masks response_masks response_body_masks response_header_masks
		request_query_masks disable_gzip_payload_decompression user_id_header company_id_header authorization_header_name authorization_user_id_field authorization_company_id_field
		request_max_body_size_limit response_max_body_size_limit session_token_mode trust_consumer_headers mask_action mask_hash_key mask_detectors unmaskable_bodies skip_body_types`) {
		inEvent[name] = true
	}
	token := func(claims string) string { return "x." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".x" }
	event := func(s *settings) string {
		x := exchangeOf(t, fmt.Sprintf(`{"request":{"url":"http://h:80/?m=1","headers":{"x-m":"m@example.org","x-consumer-username":"u","x-token":%q,"authorization":%q,"content-type":"application/json",
			"content-encoding":"gzip"}},"response":{"headers":{"x-m":"1","content-type":"text/plain"}},"authenticated_entity":{"id":"cred"}}`,
			token(`{"sub":"t","other":"o","org":"c"}`), token(`{"sub":"authorization","other":"o","org":"c"}`)))
		x.credentialKey = "key"
		x.requestBody, x.responseBody = []byte(gzipped(t, `{"m":"m@example.org"}`)), []byte("response")
		x.transactionID = "fixed"
		return string(encodeEvent(x, s))
	}
	for _, f := range Schema().Fields {
		value, ok := values[f.Name]
		if !ok {
			assert.Contains(t, strings.ToLower(f.Description), "without effect", f.Name)
			continue
		}
		pick := func(with string) *settings { return settingsOf(t, `{`+base+with+`}`) }
		before, after := pick(beside[f.Name]), pick(beside[f.Name]+`,"`+f.Name+`":`+value)
		if inEvent[f.Name] {
			assert.NotEqual(t, event(before), event(after), f.Name)
			continue
		}
		before.requestMasks, before.responseMasks, after.requestMasks, after.responseMasks = nil, nil, nil, nil
		assert.False(t, reflect.DeepEqual(before, after), f.Name)
	}
}
