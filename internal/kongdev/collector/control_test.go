package collector

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ask sends a request with an application id and returns status and body.
func ask(t *testing.T, method, url, body string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Moesif-Application-Id", "app")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(text)
}

func tags(r *http.Response) [2]string {
	return [2]string{r.Header.Get("X-Moesif-Config-Etag"), r.Header.Get("X-Moesif-Rules-Tag")}
}

// Files are followed as they change, and their versions with them, on the
// answers to events as well; what is no JSON is told once and not taken.
func TestCollectorFiles(t *testing.T) {
	dir := t.TempDir()
	config, rules := filepath.Join(dir, "config.json"), filepath.Join(dir, "rules.json")
	write := func(file, text string, at int) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(file, time.Time{}, time.Unix(int64(at), 0)))
	}
	write(config, `{"sample_rate":1}`, 1)
	c := New()
	s := httptest.NewServer(c)
	defer s.Close()
	require.ErrorContains(t, c.UseFiles(config, rules, nil), "no such file or directory; name another file with -collector-rules")
	write(rules, `{}`, 1)
	require.ErrorContains(t, c.UseFiles(config, rules, nil), "rules must be a JSON array")
	write(rules, `[]`, 1)
	var told []string
	require.NoError(t, c.UseFiles(config, rules, func(err error) { told = append(told, err.Error()) }))

	first, body := ask(t, "GET", s.URL+"/v1/config", "")
	assert.JSONEq(t, `{"sample_rate":1}`, body)
	write(config, `{"sample_rate":2}`, 2)
	event := post(t, s.URL+"/v1/events", goodEvent)
	assert.Equal(t, 201, event.StatusCode)
	assert.NotEqual(t, tags(first)[0], tags(event)[0], "the config has another version")
	assert.Equal(t, tags(first)[1], tags(event)[1], "the rules have the same")
	_, body = ask(t, "GET", s.URL+"/v1/config", "")
	assert.JSONEq(t, `{"sample_rate":2}`, body)

	write(config, `{"sample_rate":`, 3)
	for range 2 {
		again, body := ask(t, "GET", s.URL+"/v1/config", "")
		assert.JSONEq(t, `{"sample_rate":2}`, body)
		assert.Equal(t, tags(event), tags(again))
	}
	assert.Equal(t, []string{"collector: " + config + ": config must be a JSON object: unexpected end of JSON input; the config stays as it was"}, told)
	write(config, `{"sample_rate":1}`, 4)
	again, _ := ask(t, "GET", s.URL+"/v1/rules", "")
	assert.Equal(t, tags(first), tags(again), "the same content is the same version")
}

func TestCollectorControl(t *testing.T) {
	c := New()
	s := httptest.NewServer(c)
	defer s.Close()
	control := httptest.NewServer(c.ControlHandler("/c/"))
	defer control.Close()
	for _, tc := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"PUT", "config", `{"sample_rate":7}`, 200, `"tag":"`},
		{"GET", "config", "", 200, `{"sample_rate":7}`},
		{"PUT", "config", `[]`, 400, "config must be a JSON object"},
		{"PUT", "config", `null`, 400, "config must be a JSON object: it is null"},
		{"PUT", "rules", `[{"_id":"r"}]`, 200, `"tag":"`},
		{"GET", "rules", "", 200, `"_id":"r"`},
		{"PUT", "fault", `{"status":99}`, 400, "status: 99 is outside 200..599"},
		{"PUT", "fault", `{"times":-1,"cut":true}`, 400, "times: -1 is negative"},
		{"PUT", "fault", `{"all":true}`, 400, "none of status, hang and cut is set"},
		{"PUT", "fault", `{"staus":503}`, 400, `unknown field \"staus\"; give a JSON object like`},
		{"GET", "fault", "", 200, `{}`},
		{"PUT", "fault", `{"status":503,"all":true,"times":2,"retry_after":"1"}`, 200, `"times":2`},
		{"POST", "fault", `{}`, 405, ""},
		{"GET", "other", ``, 404, ""},
	} {
		resp, text := ask(t, tc.method, control.URL+"/c/"+tc.path, tc.body)
		assert.Equal(t, tc.status, resp.StatusCode, tc)
		assert.Contains(t, text, tc.text, tc)
	}
	resp, _ := ask(t, "GET", s.URL+"/v1/config", "")
	assert.Equal(t, []any{503, "1"}, []any{resp.StatusCode, resp.Header.Get("Retry-After")}, "all requests fail")
	assert.Equal(t, 503, post(t, s.URL+"/v1/events", goodEvent).StatusCode)
	assert.Equal(t, 201, post(t, s.URL+"/v1/events", goodEvent).StatusCode, "twice was enough")
	_, _ = ask(t, "PUT", control.URL+"/c/fault", `{"status":500}`)
	resp, _ = ask(t, "GET", s.URL+"/v1/config", "")
	assert.Equal(t, 200, resp.StatusCode, "only events fail")
	_, _ = ask(t, "DELETE", control.URL+"/c/fault", "")
	assert.Equal(t, 201, post(t, s.URL+"/v1/events", goodEvent).StatusCode)
}

func TestCollectorTellsRepeats(t *testing.T) {
	c := New()
	s := httptest.NewServer(c)
	defer s.Close()
	event := func(id string) string { return strings.Replace(goodEvent, "{", `{"transaction_id":"`+id+`",`, 1) }
	require.Equal(t, 201, post(t, s.URL+"/v1/events/batch", "["+event("a")+","+event("b")+","+goodEvent+"]").StatusCode)
	require.Equal(t, 201, post(t, s.URL+"/v1/events/batch", "["+event("b")+","+event("c")+"]").StatusCode)
	ids, repeats := c.Distinct()
	assert.Equal(t, []int{3, 1}, []int{ids, repeats})
	c.Reset()
	ids, repeats = c.Distinct()
	assert.Equal(t, []int{0, 0}, []int{ids, repeats})
}
