package admin

import (
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

var update = flag.Bool("update", false, "write what comes out into the scenarios and the reference page")

// A testAPI is an API on a file of its own, with a clock that stands still.
type testAPI struct {
	*API
	path  string
	clock int64
	log   *strings.Builder
}

func newTestAPI(t testing.TB, change ...func(*Options)) *testAPI {
	t.Helper()
	a := &testAPI{path: filepath.Join(t.TempDir(), "keyauth", "keys.jsonl"), clock: 1_700_000_000, log: &strings.Builder{}}
	file, err := store.OpenJournalAdmin(a.path)
	require.NoError(t, err)
	log := slog.New(slog.NewJSONHandler(a.log, nil))
	audit, err := NewAudit("", slog.New(slog.NewJSONHandler(io.Discard, nil)))
	require.NoError(t, err)
	o := Options{Store: file, LastUses: store.OpenLastUses(a.path), Hasher: new(key.Hasher), Audit: audit, Log: log}
	for _, c := range change {
		c(&o)
	}
	a.API = New(o)
	a.now = func() time.Time { return time.Unix(a.clock, 0) }
	return a
}

// send makes a request. A body that begins with { or [ is JSON, one that begins with form: a form.
func (a *testAPI) send(method, path, body string) *httptest.ResponseRecorder {
	form, isForm := strings.CutPrefix(body, "form:")
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	switch {
	case isForm:
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	case body != "":
		r.Header.Set("Content-Type", "application/json")
	}
	return a.do(r)
}

func (a *testAPI) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w
}

// names gives what is random in answers a name, by which later requests can use it: ${id1}, ${key1}, ${offset1}.
type names struct {
	values map[string]string // by name
	fixed  string            // the text of the scenario, whose own ids stay
	count  map[string]int
}

var (
	randomKey    = regexp.MustCompile(`"key":"([0-9A-Za-z]{32}|key_[0-9A-Za-z_]+)"`)
	randomOffset = regexp.MustCompile(`"offset":"([^"]+)"`)
	randomID     = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
)

func (n *names) put(kind, value string) {
	for name, known := range n.values {
		if known == value && strings.HasPrefix(name, kind) {
			return
		}
	}
	n.count[kind]++
	n.values[kind+strconv.Itoa(n.count[kind])] = value
}

func (n *names) hide(answer string) string {
	for _, m := range randomKey.FindAllStringSubmatch(answer, -1) {
		if !strings.Contains(n.fixed, m[1]) {
			n.put("key", m[1])
			n.values["hint"+strconv.Itoa(n.count["key"])] = key.Hint(m[1])
		}
	}
	for _, m := range randomOffset.FindAllStringSubmatch(answer, -1) {
		n.put("offset", m[1])
	}
	for _, id := range randomID.FindAllString(answer, -1) {
		if !strings.Contains(n.fixed, id) {
			n.put("id", id)
		}
	}
	for _, kind := range []string{"offset", "key", "hint", "id"} {
		for name, value := range n.values {
			if strings.HasPrefix(name, kind) {
				answer = strings.ReplaceAll(answer, value, "${"+name+"}")
				answer = strings.ReplaceAll(answer, url.QueryEscape(value), "${"+name+"}")
			}
		}
	}
	return answer
}

func (n *names) fill(request string) string {
	return os.Expand(request, func(name string) string { return n.values[name] })
}

// A scenario is a file of requests and the answers to them, each answer in the line below its request. "clock 60" moves
// the clock by so many seconds, # begins a comment.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.scenario")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			runScenario(t, file)
		})
	}
}

func runScenario(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	a := newTestAPI(t, func(o *Options) { o.Seed = strings.HasPrefix(filepath.Base(file), "seed") })
	n := names{values: map[string]string{}, fixed: string(text), count: map[string]int{}}
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	var out []string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		out = append(out, line)
		if seconds, isClock := strings.CutPrefix(line, "clock "); isClock {
			by, err := strconv.ParseInt(seconds, 10, 64)
			require.NoError(t, err)
			a.clock += by
			continue
		}
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.SplitN(n.fill(line), " ", 3)
		require.GreaterOrEqual(t, len(words), 2, line)
		w := a.send(words[0], words[1], strings.Join(words[2:], ""))
		got := n.hide(strings.TrimSpace(fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))))
		want := ""
		if i+1 < len(lines) && lines[i+1] != "" && lines[i+1][0] >= '0' && lines[i+1][0] <= '9' {
			i++
			want = lines[i]
		}
		out = append(out, got)
		if !*update {
			assert.Equal(t, want, got, "%s:%d: %s", file, i+1, line)
		}
		assert.Less(t, w.Code, 500, line)
	}
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(out, "\n")+"\n"), 0o644))
	}
	for name, value := range n.values {
		if strings.HasPrefix(name, "key") {
			stored, err := os.ReadFile(a.path)
			require.NoError(t, err)
			assert.NotContains(t, string(stored), value, "a key in clear is stored nowhere")
			assert.NotContains(t, a.log.String(), value, "and logged nowhere")
		}
	}
}
