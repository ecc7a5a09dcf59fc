package moesif

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A log entry as Kong 3.9.1 writes it, shortened.
const kongLog = `{"upstream_status":"201","route":{"name":"r","hosts":["api.example.org"],"id":"da7ba03a"},"latencies":{"kong":2,"proxy":0,"request":127,"receive":2},
	"source":"upstream","client_ip":"10.0.0.9","started_at":1772360430007,"service":{"name":"orders","port":9001},
	"request":{"url":"https://api.example.org:8443/v2/orders?limit=5&token=t%201","method":"POST","headers":{"host":"api.example.org","Content-Type":"application/json",
	"x-forwarded-for":"203.0.113.7, 10.0.0.1","x-multi":["a","b"],"x-flag":true,"authorization":"REDACTED","apikey":"key-123","x-moesif-transaction-id":"0b6f"},
	"size":100,"id":"faf48c660cfa3776a69f62609f619234","querystring":{"limit":"5"},"uri":"/v2/orders"},"tries":{},
	"consumer":{"id":"c-id","username":"bob","created_at":1},"authenticated_entity":{"id":"cred-1"},
	"response":{"size":946,"status":201,"headers":{"content-type":"text/plain","set-cookie":["a=1","b=2"]}}}`

func exchangeOf(t testing.TB, log string) *exchange {
	t.Helper()
	x, err := readExchange(log, time.Unix(0, 0))
	require.NoError(t, err)
	return x
}

func TestEncodeEvent(t *testing.T) {
	x := exchangeOf(t, kongLog)
	x.credentialKey = "key-123"
	x.transactionID = "11111111-2222-4333-8444-555555555555"
	x.requestBody = []byte(`{"sku": "A-1", "qty": 12345678901234567890}`)
	x.responseBody = []byte("ok")
	got := string(encodeEvent(x, settingsOf(t, `{"application_id":"a"}`)))
	assert.Equal(t, `{"request":{"time":"2026-03-01T10:20:30.007Z","uri":"https://api.example.org:8443/v2/orders?limit=5&token=t%201","verb":"POST",`+
		`"headers":{"host":"api.example.org","content-type":"application/json","x-forwarded-for":"203.0.113.7, 10.0.0.1","x-multi":"a, b","x-flag":"true",`+
		`"authorization":"REDACTED","apikey":"key-123","x-moesif-transaction-id":"0b6f"},"api_version":"1.0","ip_address":"203.0.113.7",`+
		`"body":{"sku":"A-1","qty":12345678901234567890},"transfer_encoding":"json"},`+
		`"response":{"time":"2026-03-01T10:20:30.134Z","status":201,"headers":{"content-type":"text/plain","set-cookie":"a=1, b=2"},"body":"b2s=","transfer_encoding":"base64"},`+
		`"session_token":"key-123","user_id":"bob","transaction_id":"11111111-2222-4333-8444-555555555555","direction":"Incoming","weight":1,`+
		`"metadata":{"kong":{"route_hosts":["api.example.org"],"route_name":"r","service_name":"orders","request_id":"faf48c660cfa3776a69f62609f619234"}}}`, got)
}

func TestAppendTime(t *testing.T) {
	for _, nanos := range []int64{0, 1, 999_999, 1_000_000, 10_000_000, 123_456_789, 999_999_999, 1_600_000_000_007_000_000, -1} {
		for _, zone := range []*time.Location{time.UTC, time.FixedZone("", -3600)} {
			at := time.Unix(0, nanos).In(zone)
			assert.Equal(t, at.UTC().Format("2006-01-02T15:04:05.000Z"), string(appendTime(nil, at)))
		}
	}
}

func TestMasksInEvent(t *testing.T) {
	x := exchangeOf(t, kongLog)
	x.credentialKey = "key-123"
	x.requestBody = []byte(`{"sku":"A-1","card":{"n":4111}}`)
	x.responseBody = []byte("card=4111")
	event := encodeEvent(x, settingsOf(t, `{"application_id":"a","request_header_masks":["APIKEY","x-forwarded-for"],"response_header_masks":["Set-Cookie"],
		"request_query_masks":["token"],"request_body_masks":["card"],"response_body_masks":["card"]}`))
	for _, secret := range []string{"key-123", "203.0.113.7", "a=1", "t%201", "4111"} {
		assert.NotContains(t, string(event), secret)
	}
	assert.Contains(t, string(event), `"ip_address":"10.0.0.9"`)
	assert.Contains(t, string(event), `"uri":"https://api.example.org:8443/v2/orders?limit=5&token=*****"`)
	assert.Contains(t, string(event), `"body":{"sku":"A-1"}`)
	assert.Contains(t, string(event), `"session_token":"cred-1"`, "the key of a masked header does not come back")
}

func TestReadExchange(t *testing.T) {
	for _, c := range []struct {
		name, log string
		want      string // in the event
	}{
		{"nothing at all", `{}`, `{"request":{"time":"1970-01-01T00:00:00.000Z","uri":"","verb":"","headers":{},"api_version":"1.0"},` +
			`"response":{"time":"1970-01-01T00:00:00.000Z","status":0,"headers":{}},"direction":"Incoming","weight":1,"metadata":{"kong":{}}}`},
		{"empty tables as objects and lists", `{"request":{"headers":[]},"response":{"headers":{}},"route":{"hosts":{}}}`, `"metadata":{"kong":{}}`},
		{"no url", `{"request":{"uri":"/x?a"}}`, `"uri":"/x?a"`},
		{"wrong types", `{"request":{"method":7,"url":"http://h:80/"},"started_at":"x","latencies":[],"client_ip":"1.2.3.4","consumer":"x","response":{"status":204,"size":"9"}}`,
			`"uri":"http://h:80/","verb":"","headers":{},"api_version":"1.0","ip_address":"1.2.3.4"},"response":{"time":"1970-01-01T00:00:00.000Z","status":204`},
		{"numbers with a fraction", `{"started_at":1.772360430007e12,"latencies":{"request":0.6}}`, `"response":{"time":"2026-03-01T10:20:30.008Z"`},
		{"an end beyond RFC 3339", `{"started_at":253402300799000,"latencies":{"request":9e13}}`, `"response":{"time":"1970-01-01T00:00:00.000Z"`},
		{"a status that is none", `{"response":{"status":1e300}}`, `"status":0,`},
		{"no start", `{"latencies":{"request":1500}}`, `{"request":{"time":"1969-12-31T23:59:58.500Z"`},
		{"times out of range", `{"started_at":1e300,"latencies":{"request":-5}}`, `"response":{"time":"1970-01-01T00:00:00.000Z"`},
		{"invalid UTF-8", "{\"request\":{\"url\":\"http://h:80/\xff\",\"headers\":{\"x-bin\":\"a\xffb\"}}}", "\"uri\":\"http://h:80/\ufffd\",\"verb\":\"\",\"headers\":{\"x-bin\":\"a\ufffdb\"}"},
		{"control characters", `{"request":{"headers":{"x":"a\u0000\"\\\n\u001f"}}}`, `"headers":{"x":"a\u0000\"\\\n\u001f"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			event := encodeEvent(exchangeOf(t, c.log), settingsOf(t, `{"application_id":"a"}`))
			assert.Contains(t, string(event), c.want)
			assert.True(t, json.Valid(event) && utf8.Valid(event))
		})
	}
	for _, log := range []string{``, `null `, `[]`, `"x"`, `{"a":`, `{} x`} {
		_, err := readExchange(log, time.Time{})
		assert.ErrorIs(t, err, errNotAnObject, "readExchange(%q)", log)
	}
}

// The collector refuses an event of more than 1 MB: then it goes without the larger body, which is better than not at all.
func TestAnEventNeverOutgrowsTheCollector(t *testing.T) {
	zeros := gzipped(t, strings.Repeat("0", 900000)) // base64 makes 1.2 MB of it
	s := settingsOf(t, `{"application_id":"a","request_max_body_size_limit":100000000}`)
	for _, c := range []struct {
		name, request, response, wantRequest, wantResponse string
	}{
		{"request", zeros, "small", "", "c21hbGw="},
		{"response", "small", zeros, "c21hbGw=", ""},
		{"both", zeros, zeros, "", ""},
		{"together", strings.Repeat("r", 400000), gzipped(t, strings.Repeat("0", 500000)), strings.Repeat("cnJy", 133333) + "cg==", ""},
	} {
		x := exchangeOf(t, `{"request":{"headers":{"content-encoding":"gzip"}},"response":{"headers":{"content-encoding":"gzip"}}}`)
		x.requestBody, x.responseBody = []byte(c.request), []byte(c.response)
		b := encodeEvent(x, s)
		assert.LessOrEqual(t, len(b), maxEventBytes, c.name)
		var event struct {
			Request, Response struct {
				Body string
			}
		}
		require.NoError(t, json.Unmarshal(b, &event))
		assert.Equal(t, c.wantRequest, event.Request.Body, c.name)
		assert.Equal(t, c.wantResponse, event.Response.Body, c.name)
	}
}

// FuzzEvent: any answer of Kong and any bodies give an event that is valid JSON in UTF-8 and has the fixed members.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(kongLog), []byte(`{"a":1}`), []byte("\xff"), "key")
	f.Add([]byte("{\"request\":{\"headers\":{\"\xff\":[1,{},\"x\",[2]]},\"url\":\"?a=\xfe&a=b#\"},\"route\":{\"hosts\":[\"\\ud800\"]}}"), []byte{}, []byte(`[]`), "\xff")
	plain := settingsOf(f, `{"application_id":"a"}`)
	found := settingsOf(f, `{"application_id":"a","mask_detectors":["card_number","email","jwt"],"mask_action":"hash","mask_hash_key":"k","request_header_masks":["x-secret"],
		"request_query_masks":["secret"],"request_body_masks":["secret"],"unmaskable_bodies":"send"}`)
	masks := settingsOf(f, `{"application_id":"a","request_header_masks":["x-secret"],"response_header_masks":["x-secret"],"request_query_masks":["secret","a"],
		"request_body_masks":["secret","a[0].b"],"response_body_masks":["$.*.x"],"user_id_header":"x-user","company_id_header":"x-company","authorization_company_id_field":"a.b"}`)
	f.Fuzz(func(t *testing.T, log, requestBody, responseBody []byte, key string) {
		x, err := readExchange(string(log), time.Unix(0, 0))
		if err != nil {
			require.False(t, json.Valid(log) && strings.HasPrefix(strings.TrimLeft(string(log), " \t\r\n"), "{"), "an object was refused")
			return
		}
		x.requestBody, x.responseBody, x.credentialKey, x.transactionID = requestBody, responseBody, key, newUUID()
		for _, s := range []*settings{plain, masks, found} {
			event := encodeEvent(x, s)
			require.True(t, json.Valid(event) && utf8.Valid(event), "not JSON: %q", event)
			var e struct {
				Request       struct{ Time time.Time }
				Direction     string
				TransactionID string `json:"transaction_id"`
				Weight        int
				Metadata      map[string]map[string]any
			}
			require.NoError(t, json.Unmarshal(event, &e))
			require.Equal(t, "Incoming", e.Direction)
			require.Equal(t, x.transactionID, e.TransactionID)
			require.Equal(t, 1, e.Weight)
		}
	})
}

// Events that are made at the same time, in memory that is used again, are each their own.
func TestEventsShareNothing(t *testing.T) {
	s := settingsOf(t, `{"application_id":"a","request_body_masks":["k"]}`)
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			var events, want []string
			for i := range 200 {
				x := exchangeOf(t, `{"request":{"headers":{"content-type":"application/json"}}}`)
				text := strings.Repeat(strconv.Itoa(worker), i*10)
				x.requestBody = []byte(`{"k": 1, "text": "` + text + `"}`)
				events = append(events, string(encodeEvent(x, s)))
				want = append(want, `"body":{"text":"`+text+`"}`)
			}
			for i := range events {
				assert.Contains(t, events[i], want[i])
			}
		})
	}
	wg.Wait()
}
