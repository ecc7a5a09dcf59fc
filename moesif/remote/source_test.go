package remote

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fakeCollector answers without a network, so that time can be virtual.
type fakeCollector struct {
	mu       sync.Mutex
	answers  map[string]fakeAnswer // by path
	requests []fakeRequest
	start    time.Time
	delay    time.Duration
}

type fakeAnswer struct {
	status int // 0 is no answer
	body   string
	header map[string]string
}

type fakeRequest struct {
	path, etag string
	at         time.Duration
}

func newFakeCollector() *fakeCollector {
	return &fakeCollector{start: time.Now(), answers: map[string]fakeAnswer{"/v1/config": {status: 200, body: "{}"}, "/v1/rules": {status: 200, body: "[]"}}}
}

func (c *fakeCollector) set(path string, status int, body string, header ...string) {
	a := fakeAnswer{status: status, body: body, header: map[string]string{}}
	for i := 0; i < len(header); i += 2 {
		a.header[header[i]] = header[i+1]
	}
	c.mu.Lock()
	c.answers[path] = a
	c.mu.Unlock()
}

func (c *fakeCollector) RoundTrip(r *http.Request) (*http.Response, error) {
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-time.After(c.delay):
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, fakeRequest{r.URL.Path, r.Header.Get("If-None-Match"), time.Since(c.start)})
	a := c.answers[r.URL.Path]
	if a.status == 0 {
		return nil, errors.New("connection refused")
	}
	h := http.Header{}
	for name, value := range a.header {
		h.Set(name, value)
	}
	if a.status == 200 && h.Get("ETag") != "" && h.Get("ETag") == r.Header.Get("If-None-Match") {
		a.status, a.body = http.StatusNotModified, ""
	}
	return &http.Response{StatusCode: a.status, Header: h, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// asked returns the requests so far to one path, and forgets all.
func (c *fakeCollector) asked() (config, rules []fakeRequest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.requests {
		if r.path == "/v1/config" {
			config = append(config, r)
		} else {
			rules = append(rules, r)
		}
	}
	c.requests = nil
	return config, rules
}

// said collects what a Source reports.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) report(_, text string) {
	s.mu.Lock()
	s.lines = append(s.lines, text)
	s.mu.Unlock()
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

const testID = "application-id-that-nobody-may-see"

// polling runs a test with a Source that polls c, in virtual time.
func polling(t *testing.T, f func(t *testing.T, c *fakeCollector, s *Source, lines *said)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, lines := newFakeCollector(), &said{}
		s := NewSource(Options{Endpoint: "https://collector.test", ApplicationID: testID, Client: &http.Client{Transport: c}, Report: lines.report})
		assert.False(t, s.Snapshot().Known())
		f(t, c, s, lines)
		s.Close()
		assert.NotContains(t, lines.all(), testID)
	})
}

func TestPollEveryMinute(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		s.Start()
		synctest.Wait()
		assert.True(t, s.Snapshot().Known(), "fetched at once")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		config, rules := c.asked()
		assert.Len(t, rules, len(config))
		assert.GreaterOrEqual(t, len(config), 11)
		for i := 1; i < len(config); i++ {
			gap := config[i].at - config[i-1].at
			assert.LessOrEqual(t, gap, time.Minute)
			assert.GreaterOrEqual(t, gap, 54*time.Second)
		}
		assert.Empty(t, lines.all())
	})
}

func TestSawFetchesAtOnce(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
		c.set("/v1/config", 200, `{"sample_rate":1}`, configTagHeader, "c1", rulesTagHeader, "r1")
		c.set("/v1/rules", 200, `[]`, rulesTagHeader, "r1")
		s.Start()
		time.Sleep(20 * time.Second)
		config, rules := c.asked()
		require.Len(t, config, 1)
		require.Len(t, rules, 1)
		s.Saw("c1", "r1")
		s.Saw("", "")
		time.Sleep(time.Second)
		config, _ = c.asked()
		assert.Empty(t, config, "what is known is not fetched")

		c.set("/v1/config", 200, `{"sample_rate":2}`, configTagHeader, "c2", rulesTagHeader, "r1")
		for range 100 {
			s.Saw("c2", "r1")
		}
		synctest.Wait()
		config, rules = c.asked()
		assert.Len(t, config, 1, "at once, and once")
		assert.Empty(t, rules, "their tag is ours")
		assert.InDelta(t, 2, s.Snapshot().Rate(&Request{}), 0)

		s.Saw("c1", "r1")
		time.Sleep(20 * time.Second)
		config, _ = c.asked()
		assert.Empty(t, config, "a node that is behind does not matter")

		c.set("/v1/rules", 200, `[{"_id":"r","type":"regex"}]`, rulesTagHeader, "r2")
		s.Saw("c2", "r2")
		synctest.Wait()
		_, rules = c.asked()
		assert.Len(t, rules, 1, "though the configuration's answer still names the old ones")
		assert.Equal(t, 1, s.Snapshot().rules.count[regexRule])
	})
}

// Between two polls there are at least 10 seconds, and more while a version that was seen does not come.
func TestSawIsLimited(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
		c.set("/v1/config", 200, `{}`, configTagHeader, "old")
		s.Start()
		synctest.Wait()
		for range 3000 {
			s.Saw("new", "")
			time.Sleep(100 * time.Millisecond)
		}
		config, _ := c.asked()
		assert.LessOrEqual(t, len(config), 9)
		for i := 1; i < len(config); i++ {
			assert.GreaterOrEqual(t, config[i].at-config[i-1].at, spacing)
		}
		c.set("/v1/config", 200, `{"sample_rate":5}`, configTagHeader, "new")
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.InDelta(t, 5, s.Snapshot().Rate(&Request{}), 0)
	})
}

// Two nodes that disagree cause no fetch once both of their versions are known.
func TestNodesThatDisagree(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
		c.set("/v1/config", 200, `{}`, configTagHeader, "a")
		s.Start()
		time.Sleep(15 * time.Second)
		c.set("/v1/config", 200, `{"sample_rate":5}`, configTagHeader, "b")
		s.Saw("b", "")
		time.Sleep(15 * time.Second)
		c.asked()
		for range 20 {
			s.Saw("a", "")
			s.Saw("b", "")
			time.Sleep(time.Second)
		}
		config, _ := c.asked()
		assert.Empty(t, config)
	})
}

// Rules that go back to an earlier version are fetched by the poll.
func TestRulesAreTakenBack(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
		version := func(tag, rules string) {
			c.set("/v1/config", 200, `{}`, configTagHeader, "c", rulesTagHeader, tag)
			c.set("/v1/rules", 200, rules, rulesTagHeader, tag)
			time.Sleep(61 * time.Second)
			synctest.Wait()
		}
		s.Start()
		version("1", "[]")
		version("2", `[{"_id":"r","type":"regex","block":true}]`)
		assert.True(t, s.Snapshot().Govern(&Request{}).Blocked)
		version("1", "[]")
		assert.False(t, s.Snapshot().Govern(&Request{}).Blocked)
	})
}

func TestETag(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		c.set("/v1/config", 200, `{"sample_rate":5}`, "ETag", `"v1"`)
		s.Start()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		config, rules := c.asked()
		require.Len(t, config, 2)
		assert.Empty(t, config[0].etag)
		assert.Equal(t, `"v1"`, config[1].etag)
		assert.Empty(t, rules[1].etag, "the answer had none")
		assert.InDelta(t, 5, s.Snapshot().Rate(&Request{}), 0)
		assert.InDelta(t, 1, gathered(t, s.options.Metrics)[`moesif_config_fetches_total{document="config",result="unchanged"}`], 0)
		assert.Empty(t, lines.all())
	})
}

// While nothing is known the next try comes soon; once something is, an outage changes nothing.
func TestOutages(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		c.set("/v1/config", 0, "")
		s.Start()
		time.Sleep(8 * time.Second)
		config, rules := c.asked()
		assert.Len(t, config, 4, "after 0, 1, 3 and 7 s")
		assert.Empty(t, rules, "nobody there to ask")
		assert.Contains(t, lines.all(), "config of the collector: connection refused; no sampling and no cohort is in force")
		c.set("/v1/config", 200, `{"sample_rate":5}`)
		time.Sleep(10 * time.Second)
		require.True(t, s.Snapshot().Known())
		before := s.Snapshot()
		for _, status := range []int{0, 500, 401, 404, 204, 301} {
			c.set("/v1/config", status, `{"error":"x"}`)
			c.set("/v1/rules", status, `{"error":"x"}`)
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			assert.Same(t, before, s.Snapshot(), status)
		}
		assert.Contains(t, lines.all(), "config of the collector: the collector answered 401: check application_id; the previous one stays in force")
	})
}

func TestRefusalsBackOff(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 402, 403, 404} {
		polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
			c.set("/v1/config", status, "{}")
			c.set("/v1/rules", status, "{}")
			s.Start()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			config, rules := c.asked()
			assert.LessOrEqual(t, len(config), 18)
			assert.LessOrEqual(t, len(rules), 18)
			assert.GreaterOrEqual(t, len(config), 12, "the time comes when somebody has paid")
			c.set("/v1/config", 200, "{}")
			c.set("/v1/rules", 200, "[]")
			time.Sleep(11 * time.Minute)
			synctest.Wait()
			assert.True(t, s.Snapshot().Known())
		})
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for after, least := range map[string]time.Duration{"200": 200 * time.Second, "99999999999999999999": 0, "100000": 10 * time.Minute, "-5": 0, "soon": 0,
		"Sat, 01 Jan 2000 00:05:00 GMT": 300 * time.Second, "Sun, 02 Jan 2000 00:00:00 GMT": 10 * time.Minute, "Fri, 31 Dec 1999 00:00:00 GMT": 0} {
		polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
			c.set("/v1/config", 429, "", "Retry-After", after)
			s.Start()
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			config, _ := c.asked()
			require.Greater(t, len(config), 1)
			assert.GreaterOrEqual(t, config[1].at-config[0].at, least, after)
		})
	}
}

// One of the two that is refused does not hold up the other.
func TestRulesRefused(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		c.set("/v1/rules", 404, "")
		s.Start()
		time.Sleep(2 * time.Minute)
		c.set("/v1/config", 200, `{"sample_rate":5}`)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.InDelta(t, 5, s.Snapshot().Rate(&Request{}), 0)
		assert.False(t, s.Snapshot().Known())
		assert.Contains(t, lines.all(), "rules of the collector: the collector answered 404: check api_endpoint; no rule is in force")
	})
}

func TestCloseHangsUp(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		c.delay = 4 * time.Second
		s.Start()
		synctest.Wait()
		start := time.Now()
		s.Close()
		assert.Zero(t, time.Since(start))
		assert.Empty(t, lines.all(), "it was us")
		s.Saw("x", "y")
	})
}

func TestSourceThatIsNeverStarted(t *testing.T) {
	t.Parallel()
	s := NewSource(Options{Endpoint: "https://collector.test"})
	s.Saw("a", "b")
	s.Close()
	assert.False(t, s.Snapshot().Known())
}

// A defect while a document is read ends neither the poller nor the process.
func TestPanicsAreSurvived(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, _ *fakeCollector, s *Source, lines *said) {
		use := s.config.use
		s.config.use = func(body []byte) (*problems, error) {
			s.config.use = use
			panic("made up")
		}
		s.Start()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		assert.True(t, s.Snapshot().Known())
		assert.Contains(t, lines.all(), "panicked: made up")
	})
}

// Problems inside a document are told when it comes, by position.
func TestProblemsAreReported(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, lines *said) {
		c.set("/v1/rules", 200, `[{"_id":"very private","name":"more private","type":"regex","regex_config":[{"conditions":[{"path":"request.verb","value":"(secret"}]}]}]`)
		s.Start()
		time.Sleep(5 * time.Minute)
		assert.Equal(t, "rules of the collector: rule 1: a regular expression is invalid (RE2 syntax); it never matches", lines.all())
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, m := newFakeCollector(), NewMetrics()
		s := NewSource(Options{Endpoint: "https://collector.test", Client: &http.Client{Transport: c}, Metrics: m})
		c.set("/v1/rules", 200, manyRules(5))
		s.Start()
		time.Sleep(30 * time.Second)
		m.Blocked("rule-1")
		m.Blocked("rule-1")
		got := gathered(t, m)
		for name, want := range map[string]float64{`moesif_blocked_total{rule="rule-1"}`: 2, `moesif_config_age_seconds`: 30,
			`moesif_rules{type="user"}`: 2, `moesif_rules{type="company"}`: 2, `moesif_rules{type="regex"}`: 1,
			`moesif_config_fetches_total{document="config",result="changed"}`: 1, `moesif_config_fetches_total{document="rules",result="changed"}`: 1,
			`moesif_config_fetches_total{document="rules",result="refused"}`: 0} {
			assert.Contains(t, got, name)
			assert.InDelta(t, want, got[name], 0, name)
		}
		s.Close()
		assert.NotContains(t, gathered(t, m), `moesif_config_age_seconds`)
	})
}

// gathered returns all metrics as a scraper sees them.
func gathered(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	m.Register(registry)
	families, err := registry.Gather()
	require.NoError(t, err)
	values := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, l := range metric.GetLabel() {
				labels = append(labels, l.GetName()+"="+strconv.Quote(l.GetValue()))
			}
			name := family.GetName()
			if labels != nil {
				name += "{" + strings.Join(labels, ",") + "}"
			}
			values[name] = metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
		}
	}
	return values
}

func TestRuleLabelsAreBounded(t *testing.T) {
	t.Parallel()
	m := NewMetrics()
	for i := range 1000 {
		m.Blocked(strings.Repeat("x", i))
		m.Blocked("\xff")
	}
	blocked := map[string]float64{}
	for name, value := range gathered(t, m) {
		if strings.HasPrefix(name, "moesif_blocked_total") {
			blocked[name] = value
		}
	}
	assert.Len(t, blocked, maxRuleLabels+1)
	assert.InDelta(t, 1000-maxRuleLabels+1, blocked[`moesif_blocked_total{rule="other"}`], 0)
	assert.InDelta(t, 1000, blocked["moesif_blocked_total{rule=\"\ufffd\"}"], 0)
}

// Requests are decided while versions come and go, each by one version as a whole.
func TestRequestsDuringChanges(t *testing.T) {
	t.Parallel()
	polling(t, func(t *testing.T, c *fakeCollector, s *Source, _ *said) {
		s.Start()
		var requests sync.WaitGroup
		for range 8 {
			requests.Go(func() {
				for i := range 200 {
					d := s.Snapshot().Govern(&Request{User: "u", Route: "/"})
					if d.Blocked {
						assert.Equal(t, d.RuleID, string(d.Body))
					}
					s.Saw(strconv.Itoa(i/10), strconv.Itoa(i/10))
					time.Sleep(time.Second)
				}
			})
		}
		for i := range 20 {
			id := strconv.Itoa(i)
			c.set("/v1/config", 200, `{"user_rules":{"u":[{"rules":"`+id+`"}]}}`, configTagHeader, id, rulesTagHeader, id)
			c.set("/v1/rules", 200, `[{"_id":"`+id+`","type":"user","block":true,"response":{"body":"`+id+`"}}]`, rulesTagHeader, id)
			time.Sleep(10 * time.Second)
		}
		requests.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, "19", s.Snapshot().Govern(&Request{User: "u"}).RuleID)
	})
}
