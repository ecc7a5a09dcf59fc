package datakit_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// A stub is an answer of a service that a workflow calls.
type stub struct {
	Method  string
	URL     string // as the workflow has it, without the query
	Status  int
	Headers map[string]string
	Body    string
	Host    string // in place of URL: an upstream of the gateway, which answers every request with Body
}

// expected is what an example comes to. What is not named does not count.
type expected struct {
	Calls    []message // in any order; their number counts when there are any
	Upstream *message  // nil: the upstream is not reached
	Answer   message
	Trace    map[string]any // what nodes have completed with, in the trace that the client gets
}

type message struct {
	Method  string
	URL     string
	URI     string
	Host    string
	Status  int
	Headers map[string]*string // null: not there
	Body    any                // text, or what JSON must be equal to
}

// TestExamples sends each example's request through a gateway, and compares what its services, the upstream and the
// client get with its expected.yml.
func TestExamples(t *testing.T) {
	folders, err := filepath.Glob("../examples/datakit/*/kong.yml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	index, err := os.ReadFile("../examples/datakit/README.md")
	require.NoError(t, err)
	for _, file := range folders {
		dir := filepath.Dir(file)
		assert.Contains(t, string(index), "["+filepath.Base(dir)+"]("+filepath.Base(dir)+"/kong.yml)", "the index lists every folder")
		t.Run(filepath.Base(dir), func(t *testing.T) { runExample(t, dir) })
	}
}

// callTime is how long a call may take, which in an example is meant for services that are quicker than a busy machine.
var callTime = regexp.MustCompile(`\btimeout: \d+`) // read-only

func runExample(t *testing.T, dir string) {
	services := startServices(t, filepath.Join(dir, "stubs.yml"))
	config, err := os.ReadFile(filepath.Join(dir, "kong.yml"))
	require.NoError(t, err)
	g := kongdevtest.Start(t, kongdevtest.Options{
		Config: callTime.ReplaceAllString(services.replace(string(config)), "timeout: 60000"), Plugins: map[string]string{"datakit": kongdevtest.Self}, Workers: 1,
		Hosts: services.upstreams,
	})
	for _, step := range []string{"", "2", "3"} { // one request, or some that depend on each other
		request, outcome := filepath.Join(dir, "request"+step+".http"), filepath.Join(dir, "expected"+step+".yml")
		if _, err := os.Stat(request); err != nil && step != "" {
			break
		}
		var want expected
		readYAML(t, outcome, &want)
		sent, before := len(g.Upstream.Requests()), len(services.received())
		got, err := g.Do(readRequest(t, request, services))
		require.NoError(t, err)
		want.compare(t, got, g.Upstream.Requests()[sent:], services.received()[before:])
		if t.Failed() {
			t.Logf("%s: answer: %d %v %s", request, got.Status, got.Header, got.Body)
		}
	}
}

// compare holds what has happened against what is expected.
func (want expected) compare(t *testing.T, got *kongdevtest.Response, requests []kongdevtest.UpstreamRequest, calls []call) {
	t.Helper()
	if want.Calls != nil {
		assert.Len(t, calls, len(want.Calls), "calls: %v", calls)
		for _, w := range want.Calls {
			found := false
			for _, c := range calls {
				found = found || (c.URL == w.URL && (w.Method == "" || w.Method == c.Method) && len(w.differences(c.header, c.Body.(string))) == 0)
			}
			assert.True(t, found, "no call is %+v: %+v", w, calls)
		}
	}
	if want.Upstream == nil {
		assert.Empty(t, requests, "the upstream is not to be reached")
	} else if assert.Len(t, requests, 1, "the upstream is to be reached") {
		r := requests[0]
		assert.Empty(t, want.Upstream.differences(r.Header, string(r.Body)))
		if want.Upstream.Method != "" {
			assert.Equal(t, want.Upstream.Method, r.Method)
		}
		if want.Upstream.URI != "" {
			assert.Equal(t, want.Upstream.URI, r.URI)
		}
	}
	assert.Equal(t, want.Answer.Status, got.Status)
	assert.Empty(t, want.Answer.differences(got.Header, got.Body))
	for node, value := range want.Trace {
		text, err := json.Marshal(value)
		require.NoError(t, err)
		assert.JSONEq(t, string(text), completed(t, got.Body, node), node)
	}
}

// completed is what a node has completed with, in a trace.
func completed(t *testing.T, trace, node string) string {
	t.Helper()
	var document struct {
		Events []struct {
			Name, Action string
			Value        json.RawMessage
		}
	}
	require.NoError(t, json.Unmarshal([]byte(trace), &document))
	for _, e := range document.Events {
		if e.Name == node && e.Action == "complete" {
			return string(e.Value)
		}
	}
	return "null"
}

// differences are where a message is not as wanted.
func (m message) differences(header http.Header, body string) (list []string) {
	for name, want := range m.Headers {
		have := strings.Join(header.Values(name), ", ")
		switch _, there := header[http.CanonicalHeaderKey(name)]; {
		case want == nil && there:
			list = append(list, name+" is there: "+have)
		case want != nil && !fitsText(*want, have):
			list = append(list, name+" is "+have+", not "+*want)
		}
	}
	switch want := m.Body.(type) {
	case nil:
	case string:
		if body != want {
			list = append(list, "the body is "+body+", not "+want)
		}
	default:
		text, _ := json.Marshal(want)
		var a, b any
		if json.Unmarshal(text, &a) != nil || json.Unmarshal([]byte(body), &b) != nil || !assert.ObjectsAreEqual(a, b) {
			list = append(list, "the body is "+body+", not "+string(text))
		}
	}
	return list
}

// fitsText reports whether a header has the wanted value, which is a regular expression between slashes.
func fitsText(want, have string) bool {
	if inner := strings.Trim(want, "/"); len(inner) == len(want)-2 {
		return regexp.MustCompile("^(?:" + inner + ")$").MatchString(have)
	}
	return have == want
}

// services play the stubs of an example.
type services struct {
	servers map[string]string // scheme and host as the workflow has them -> where they are
	hosts   map[string]string // host as the workflow has it -> where it is

	upstreams map[string]http.Handler // of the gateway, by host

	mu    sync.Mutex
	calls []call
}

type call struct {
	message
	header http.Header
}

func startServices(t *testing.T, file string) *services {
	var stubs []stub
	if _, err := os.Stat(file); err == nil {
		readYAML(t, file, &stubs)
	}
	s := &services{servers: map[string]string{}, hosts: map[string]string{}, upstreams: map[string]http.Handler{}}
	for _, one := range stubs {
		if one.Host != "" {
			s.upstreams[one.Host] = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, one.Body) })
			continue
		}
		u, err := url.Parse(one.URL)
		require.NoError(t, err)
		origin := u.Scheme + "://" + u.Host
		if s.servers[origin] != "" {
			continue
		}
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, origin, stubs) }))
		t.Cleanup(server.Close)
		s.servers[origin] = server.URL
		s.hosts[u.Host] = strings.TrimPrefix(server.URL, "http://")
	}
	return s
}

func (s *services) serve(w http.ResponseWriter, r *http.Request, origin string, stubs []stub) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.calls = append(s.calls, call{message{Method: r.Method, URL: origin + r.URL.Path, URI: r.RequestURI, Body: string(body)}, r.Header})
	s.mu.Unlock()
	for _, one := range stubs {
		if one.URL != origin+r.URL.Path || one.Method != "" && one.Method != r.Method {
			continue
		}
		for name, v := range one.Headers {
			w.Header().Set(name, v)
		}
		w.WriteHeader(one.Status)
		_, _ = io.WriteString(w, one.Body)
		return
	}
	w.WriteHeader(http.StatusNotFound)
}

func (s *services) received() []call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// replace puts the addresses of the services where a text has their names.
func (s *services) replace(text string) string {
	for from, to := range s.servers {
		text = strings.ReplaceAll(text, from, to)
	}
	for from, to := range s.hosts {
		text = strings.ReplaceAll(text, from, to)
	}
	return text
}

func readRequest(t *testing.T, file string, s *services) *http.Request {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	head, body, _ := strings.Cut(s.replace(string(text)), "\n\n")
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n")))
	require.NoError(t, err)
	request.RequestURI = ""
	if body = strings.TrimSuffix(body, "\n"); body != "" {
		request.Body, request.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}
	return request.WithContext(t.Context())
}

func readYAML(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, into), file)
}
