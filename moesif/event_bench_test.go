package moesif

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// benchmarkLog is what Kong 3.9.1 writes for a request of a consumer, whole.
const benchmarkLog = `{"upstream_status":200,"route":{"name":"orders","hosts":["api.example.org"],"regex_priority":0,"response_buffering":true,"path_handling":"v0",` +
	`"service":{"id":"dea4c45f-3d88-5461-8ebd-05ae5bbbf87a"},"request_buffering":true,"https_redirect_status_code":426,"updated_at":1795286202,"paths":["/"],` +
	`"ws_id":"0dc6f45b-8f8d-40d2-a504-473544ee190b","created_at":1795286202,"strip_path":false,"id":"da7ba03a-f1be-52d4-8a7e-c8f32640689a","protocols":["http","https"],"preserve_host":false},` +
	`"latencies":{"kong":2,"proxy":1,"request":4,"receive":1},"source":"upstream","client_ip":"10.0.0.9","started_at":1795286203788,"workspace":"0dc6f45b-8f8d-40d2-a504-473544ee190b",` +
	`"workspace_name":"default","service":{"name":"orders","retries":5,"port":9001,"read_timeout":60000,"updated_at":1795286202,"write_timeout":60000,"id":"dea4c45f-3d88-5461-8ebd-05ae5bbbf87a",` +
	`"created_at":1795286202,"enabled":true,"connect_timeout":60000,"protocol":"http","host":"127.0.0.1","ws_id":"0dc6f45b-8f8d-40d2-a504-473544ee190b"},` +
	`"consumer":{"id":"6f1e7d5e-1111-4222-8333-944455556666","username":"bob","created_at":1795286202},"authenticated_entity":{"id":"cred-1","consumer_id":"6f1e7d5e-1111-4222-8333-944455556666"},` +
	`"request":{"url":"https://api.example.org:8443/v2/orders?limit=5&sort=date","method":"POST","headers":{"user-agent":"curl/7.88.1","content-type":"application/json","accept":"*/*",` +
	`"accept-encoding":"gzip, deflate, br","host":"api.example.org:8443","content-length":"2048","x-forwarded-for":"203.0.113.7, 10.0.0.1","authorization":"REDACTED","apikey":"key-123",` +
	`"x-consumer-username":"bob","x-moesif-transaction-id":"11111111-2222-4333-8444-555555555555","cookie":"a=1; b=2"},"size":2655,"id":"e2f03d1f3abc323f5621be14d5f66c37",` +
	`"querystring":{"limit":"5","sort":"date"},"uri":"/v2/orders?limit=5&sort=date"},"upstream_uri":"/v2/orders?limit=5&sort=date","tries":[{"balancer_start":1795286203790,` +
	`"balancer_start_ns":1.795286203790372e+18,"ip":"127.0.0.1","balancer_latency":0,"port":9001,"balancer_latency_ns":30976}],"response":{"size":3024,"status":200,` +
	`"headers":{"date":"Sat, 21 Nov 2026 18:36:43 GMT","content-type":"application/json; charset=utf-8","connection":"close","via":"1.1 kong/3.9.1","x-kong-proxy-latency":"2","server":"kong/3.9.1",` +
	`"x-kong-upstream-latency":"1","transfer-encoding":"chunked","x-kong-request-id":"e2f03d1f3abc323f5621be14d5f66c37","x-moesif-transaction-id":"11111111-2222-4333-8444-555555555555"}}}`

// BenchmarkEvent makes an event with JSON bodies of 2 KB in both directions and 5 masks: from Kong's log entry to the
// bytes that the queue holds.
func BenchmarkEvent(b *testing.B) {
	s := settingsOf(b, `{"application_id":"a","request_body_masks":["password","$.user.ssn","items[*].card"],"response_body_masks":["password","token"]}`)
	log := benchmarkLog
	body := []byte(`{"user":{"name":"A Name","ssn":"078-05-1120"},"password":"x","items":[` + strings.Repeat(`{"sku":"A-1","qty":2,"price":12.50,"card":"4111","note":"a line\nand more"},`, 25) + `{}]}`)
	require.InDelta(b, 2048, len(body), 100)
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		x, err := readExchange(log, time.Time{})
		if err != nil {
			b.Fatal(err)
		}
		x.credentialKey = "key-123"
		x.transactionID = "11111111-2222-4333-8444-555555555555"
		x.requestBody, x.responseBody = body, body
		encodeEvent(x, s)
		x.release()
	}
	b.ReportMetric(float64(b.N)/(processorTime(b)-before).Seconds(), "events/cpu-s")
}

// processorTime is what this process has used of its processors: on a busy machine it says more than a clock.
func processorTime(b *testing.B) time.Duration {
	var used unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
