package moesif

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/remote"
)

// D20, D22: the rates decide in log, with all that is known of the request; what is left out is counted.
func TestSamplingD20D22(t *testing.T) {
	low, high := drawnIDs()
	const status = `{"sample_rate":100,"regex_config":[{"conditions":[{"path":"response.status","value":"^404$"}],"sample_rate":50}]}`
	for _, c := range []struct {
		name, remote, id, request, response string
		weight                              int // 0: left out
	}{
		{"all", `{}`, high, ``, ``, 1},
		{"none", `{"sample_rate":0}`, low, ``, ``, 0},
		{"the rate of all, below", `{"sample_rate":50}`, low, ``, ``, 2},
		{"the rate of all, above", `{"sample_rate":50}`, high, ``, ``, 0},
		{"weights are whole", `{"sample_rate":30}`, low, ``, ``, 3},
		{"a user's rate", `{"user_sample_rate":{"u":50}}`, high, `"x-user":"u"`, ``, 0},
		{"a user's rate, in the response", `{"user_sample_rate":{"u":50}}`, high, ``, `"x-user":"u"`, 0},
		{"another user", `{"user_sample_rate":{"u":50}}`, high, `"x-user":"v"`, ``, 1},
		{"a user's rate instead of all's", `{"sample_rate":0,"user_sample_rate":{"u":50}}`, low, `"x-user":"u"`, ``, 2},
		{"the lower one of user and company", `{"user_sample_rate":{"u":80},"company_sample_rate":{"c":25}}`, low, `"x-user":"u","x-company":"c"`, ``, 4},
		{"by status", status, high, ``, `"x":"1"`, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			config, events := governed(t, `,"user_id_header":"x-user","company_id_header":"x-company","disable_transaction_id":true`, c.remote, `[]`)
			k := newFakeKong(t)
			k.log = fmt.Sprintf(`{"request":{"id":%q,"url":"http://h:80/","method":"GET","headers":{%s}},"response":{"status":404,"headers":{%s}}}`, c.id, c.request, c.response)
			k.run("log", config.Log)
			if c.weight == 0 {
				assert.Equal(t, 1.0, counterValue(t, config.capture.stats.sampledOut))
				assert.Equal(t, []string{"log log.serialize"}, k.calls, "nothing more is asked")
			} else {
				assert.Equal(t, c.weight, events(1)[0].Weight)
			}
		})
	}
}

// What access knows to be left out is not buffered, and no body is read; both phases draw the same.
func TestSamplingBeforeWorkD22(t *testing.T) {
	low, high := drawnIDs()
	for id, out := range map[string]bool{low: false, high: true} {
		for _, flags := range [][]string{nil, {"-phases", "access,log"}} {
			config, _ := governed(t, `,"disable_transaction_id":true`, `{"sample_rate":50}`, `[]`, flags...)
			k := newFakeKong(t)
			k.vars[requestIDVariable] = id
			k.vars["http_content_type"] = "application/json"
			k.run("access", config.Access)
			if flags == nil {
				assert.Equal(t, !out, k.context[bufferingKey])
			} else {
				assert.Equal(t, !out, slices.Contains(k.calls, "access request.get_raw_body"))
			}
			k.log = fmt.Sprintf(`{"request":{"id":%q}}`, id)
			k.run("log", config.Log)
			assert.Equal(t, out, counterValue(t, config.capture.stats.sampledOut) == 1)
		}
	}
}

// drawnIDs returns request ids that draw below 25 and above 80.
func drawnIDs() (low, high string) {
	for i := 0; low == "" || high == ""; i++ {
		id := fmt.Sprintf("%032x", i)
		switch d := remote.Draw(id); {
		case d < 25:
			low = id
		case d > 80:
			high = id
		}
	}
	return low, high
}

// Rates and rules may change at any time: a request sees one state in a phase.
func TestRatesArriveThroughTheGateway(t *testing.T) {
	g := startGateway(t, builtPlugin, nil, "user_id_header: x-user")
	g.Collector.SetConfig(`{"sample_rate":100,"user_sample_rate":{"out":0}}`, "c-2")
	require.Eventually(t, func() bool { return !hasPhase(g, g.send("GET", "/warm", "", "X-User", "out"), "response") }, time.Minute, 10*time.Millisecond)
	for i := range 5 {
		g.send("GET", fmt.Sprintf("/out/%d", i), "", "X-User", "out")
	}
	g.send("GET", "/in", "", "X-User", "in")
	g.eventsOf(t, "/in")
	for _, e := range g.Collector.Events() {
		assert.NotContains(t, string(e), "/out/")
	}
}
