package remote

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// manyRules makes rules of all types that look at verb and route, none of which applies to the request below.
func manyRules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,{"_id":"rule-%d","type":%q,"block":true,"regex_config":[{"conditions":[{"path":"request.verb","value":"^(POST|PUT)$"},
			{"path":"request.route","value":"^/v2/orders/%d"}]}],"response":{"status":429,"body":{"error":"{{0}}"}},"variables":[{"name":"0"}]}`,
			i, typeNames[i%ruleTypes], i)
	}
	return "[" + strings.TrimPrefix(b.String(), ",") + "]"
}

func manyRates(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"user-%d":%d`, i, i%100)
	}
	return `{"user_sample_rate":{` + b.String()[1:] + `},"user_rules":{"user-1":[{"rules":"rule-0"},{"rules":"rule-3"}]}}`
}

func request() *Request {
	return &Request{User: "user-1", Company: "c", Verb: "POST", Route: "/v2/orders/none", IP: "203.0.113.7"}
}

func BenchmarkGovern(b *testing.B) {
	for _, n := range []int{0, 1, 50} {
		s, r := snapshot(b, manyRates(10), manyRules(n)), request()
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Govern(r)
			}
		})
	}
	s := snapshot(b, exampleConfig, exampleRules)
	r := &Request{User: "u-42", Verb: "POST", Route: "/v2/orders/1"}
	b.Run("blocked", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.Govern(r)
		}
	})
}

func BenchmarkRate(b *testing.B) {
	s, r := snapshot(b, manyRates(10_000), ""), request()
	b.ReportAllocs()
	for b.Loop() {
		s.Rate(r)
	}
}

func BenchmarkDraw(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Draw("6a9f0c1d2b3e4f5061728394a5b6c7d8")
	}
}

// BenchmarkParse is what a change costs, on the poller's goroutine.
func BenchmarkParse(b *testing.B) {
	rates, rules := []byte(manyRates(10_000)), []byte(manyRules(50))
	b.Run("rates=10000", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = parseConfig(rates)
		}
	})
	b.Run("rules=50", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _, _ = parseRules(rules)
		}
	})
}

func TestRequestPathDoesNotAllocate(t *testing.T) { // not parallel: it counts all allocations
	s, r := snapshot(t, manyRates(10_000), manyRules(50)), request()
	r.Verb = "" // so that no expression runs: under the race detector their machines are made anew at times
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		s.Govern(r)
		s.Rate(r)
		s.MaxRate(r)
		Draw("6a9f0c1d2b3e4f5061728394a5b6c7d8")
	}))
}
