package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

func reopen(t testing.TB, path string) store.Admin {
	t.Helper()
	file, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	return file
}

func TestMethodsOfAPath(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	for path, want := range map[string]string{
		"/consumers":         "GET, HEAD, OPTIONS, POST",
		"/key-auths/x":       "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
		"/key-auths/x/":      "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
		"/consumers/x/plugs": "",
		"/key-auths//":       "",
		"*":                  "",
	} {
		w := a.send("OPTIONS", path, "")
		assert.Equal(t, want, w.Header().Get("Allow"), path)
		assert.Equal(t, want == "", w.Code == 404, path)
	}
	w := a.send("TRACE", "/consumers", "")
	assert.Equal(t, 405, w.Code)
	assert.NotEmpty(t, w.Header().Get("Allow"))
}

// Every route is asked for in a scenario, so that none is without a test.
func TestEveryRouteHasAScenario(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.scenario")
	require.NoError(t, err)
	asked := map[string]bool{"GET /metrics": true} // TestMetrics: its answer is no JSON
	a := New(Options{Seed: true})
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for line := range strings.Lines(string(text)) {
			words := strings.Fields(os.Expand(line, func(string) string { return "x" }))
			if len(words) < 2 || !strings.HasPrefix(words[1], "/") {
				continue
			}
			path, _, _ := strings.Cut(words[1], "?")
			r, _, _ := a.match(words[0], path)
			asked[r.method+" "+r.pattern] = true
		}
	}
	for _, r := range routes {
		assert.True(t, asked[r.method+" "+r.pattern], "%s %s", r.method, r.pattern)
	}
}

// Many who put the same key at once make one credential of it.
func TestPutsAtOnce(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	other := newTestAPI(t)
	other.Store = reopen(t, a.path)
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			api := a.API
			if i%2 == 1 {
				api = other.API
			}
			for range 5 {
				w := (&testAPI{API: api}).send("PUT", "/consumers/alice/key-auth/same", fmt.Sprintf(`{"tags":["t%d"]}`, i))
				assert.Equal(t, 200, w.Code, w.Body.String())
				w = (&testAPI{API: api}).send("PUT", "/consumers/bob", `{}`)
				assert.Equal(t, 200, w.Code, w.Body.String())
			}
		})
	}
	wg.Wait()
	var list struct{ Total int }
	require.NoError(t, json.Unmarshal(a.send("GET", "/key-auths?total=true", "").Body.Bytes(), &list))
	assert.Equal(t, 1, list.Total)
	require.NoError(t, json.Unmarshal(other.send("GET", "/consumers?total=true", "").Body.Bytes(), &list))
	assert.Equal(t, 2, list.Total)
}

// A meanwhile is a store in which somebody else does something when a key has just been looked for in vain.
type meanwhile struct {
	store.Admin
	do func()
}

func (m meanwhile) Credential(ctx context.Context, id string) (store.Credential, error) {
	defer m.do()
	return m.Admin.Credential(ctx, id)
}

// A key that somebody else makes during a PUT is replaced, as one that was there before.
func TestPutOfAKeyThatIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	a, other := newTestAPI(t), newTestAPI(t)
	other.Store = reopen(t, a.path)
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	a.Store = meanwhile{a.Store, sync.OnceFunc(func() {
		assert.Equal(t, 201, other.send("POST", "/consumers/alice/key-auth", `{"key":"same","tags":["other"]}`).Code)
	})}
	w := a.send("PUT", "/consumers/alice/key-auth/same", `{"tags":["own"]}`)
	assert.Equal(t, 200, w.Code, w.Body.String())
	var list struct {
		Total int
		Data  []struct{ Tags []string }
	}
	require.NoError(t, json.Unmarshal(other.send("GET", "/key-auths?total=true", "").Body.Bytes(), &list))
	require.Equal(t, 1, list.Total)
	assert.Equal(t, []string{"own"}, list.Data[0].Tags)
}

// Rotations at once leave the old key once rotated, and each answered one with a key that works.
func TestRotationsAtOnce(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"key":"old"}`).Code)
	made := make(chan string, 8)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			w := a.send("POST", "/key-auths/old/rotate", `{"ttl":1000}`)
			assert.Equal(t, 201, w.Code, w.Body.String())
			var c struct{ Key string }
			assert.NoError(t, json.Unmarshal(w.Body.Bytes(), &c))
			made <- c.Key
		})
	}
	wg.Wait()
	close(made)
	for k := range made {
		assert.Equal(t, 200, a.send("GET", "/key-auths/"+k, "").Code)
	}
	var list struct{ Total int }
	require.NoError(t, json.Unmarshal(a.send("GET", "/key-auths?total=true", "").Body.Bytes(), &list))
	assert.Equal(t, 9, list.Total, "no unfinished rotation has left a key behind")
}

// A file that cannot be used is told to the operator, and the client learns nothing of it.
func TestBrokenFile(t *testing.T) {
	t.Parallel()
	for _, shapes := range []bool{false, true} {
		a := newTestAPI(t, func(o *Options) { o.Seed = shapes })
		require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
		good, err := os.ReadFile(a.path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(a.path, append(good[:len(good):len(good)], "{\"key\":\"broken\n{}\n"...), 0o600))
		for _, r := range [][3]string{{"GET", "/consumers/alice", ""}, {"GET", "/key-auths", ""}, {"POST", "/consumers", `{"username":"bob"}`}, {"DELETE", "/key-auths/x", ""}} {
			w := a.send(r[0], r[1], r[2])
			assert.Equal(t, 500, w.Code)
			assert.JSONEq(t, `{"message":"An unexpected error occurred"}`, w.Body.String())
		}
		assert.Contains(t, a.log.String(), "line 3: it is not one JSON object")
		assert.NotContains(t, a.log.String(), "broken")
		require.NoError(t, os.WriteFile(a.path, append(good[:len(good):len(good)], `{"key":{"id":"half a line`...), 0o600))
		assert.Equal(t, 201, a.send("POST", "/consumers", `{"username":"bob"}`).Code, "half a line was never accepted, and is written over")
		assert.Equal(t, 200, a.send("GET", "/consumers/alice", "").Code)
	}
}

type panicking struct{ store.Admin }

func (panicking) Credentials(context.Context, store.CredentialQuery) ([]store.Credential, string, error) {
	panic("secret")
}

func TestPanic(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	a.Store = panicking{a.Store}
	w := a.send("GET", "/key-auths", "")
	assert.Equal(t, 500, w.Code)
	assert.JSONEq(t, `{"message":"An unexpected error occurred"}`, w.Body.String())
	assert.Contains(t, a.log.String(), "panic")
	assert.NotContains(t, a.log.String(), `"secret"`)
	assert.Equal(t, 200, a.send("GET", "/consumers", "").Code)
}

// What the plugin notes beside the keys file is shown; a damaged file takes nothing else away.
func TestLastUse(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	const id = "aaaaaaaa-0000-4000-8000-000000000001"
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"id":"`+id+`","key":"a"}`).Code)
	require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"key":"b"}`).Code)
	use := func(at int64) {
		text := fmt.Sprintf("{\"id\":%q,\"last_used_at\":%d}\n", id, at)
		require.NoError(t, os.WriteFile(store.LastUsedPath(a.path)+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(store.LastUsedPath(a.path)+".new", store.LastUsedPath(a.path)))
	}
	for _, at := range []int64{1_700_000_007, 1_700_000_067} {
		use(at)
		want := fmt.Sprintf(`"last_used_at":%d}`, at)
		assert.Contains(t, a.send("GET", "/key-auths/a", "").Body.String(), want)
		assert.Contains(t, a.send("GET", "/key-auths", "").Body.String(), want)
		assert.Contains(t, a.send("GET", "/key-auths/b", "").Body.String(), `"last_used_at":null}`)
	}
	a.Seed = true
	assert.Contains(t, a.send("GET", "/key-auths/a", "").Body.String(), `"last_used_at":1700000067}`)
	assert.NotContains(t, a.send("GET", "/key-auths/b", "").Body.String(), "last_used_at")
	assert.Equal(t, 400, a.send("PATCH", "/key-auths/a", `{"last_used_at":1}`).Code, "nobody else says it")

	require.NoError(t, os.Remove(store.LastUsedPath(a.path)))
	require.NoError(t, os.Mkdir(store.LastUsedPath(a.path), 0o700))
	assert.Equal(t, 200, a.send("GET", "/key-auths", "").Code)
	assert.Equal(t, 1, strings.Count(a.log.String(), "when keys were last used is not known"))
}

// A key is one key, whichever pepper it is stored under.
func TestPeppers(t *testing.T) {
	t.Parallel()
	with := func(peppers ...string) func(*Options) {
		return func(o *Options) {
			h, err := key.NewHasher(peppers[0], peppers[1:]...)
			require.NoError(t, err)
			o.Hasher, o.KeyPrefix = h, "acme_live"
		}
	}
	first := newTestAPI(t, with("pepper-a-0123456789"))
	require.Equal(t, 201, first.send("POST", "/consumers", `{"username":"alice"}`).Code)
	w := first.send("POST", "/consumers/alice/key-auth", `{"key":"old"}`)
	require.Equal(t, 201, w.Code)
	w = first.send("POST", "/consumers/alice/key-auth", "")
	assert.Regexp(t, `"key":"acme_live_[0-9A-Za-z]{24}_[0-9A-Za-z]{6}","key_hint":"acme_live_\.\.\.`, w.Body.String())
	stored, err := os.ReadFile(first.path)
	require.NoError(t, err)
	assert.Contains(t, string(stored), `"hash":"hmac-sha256:`)
	assert.NotContains(t, string(stored), `"hash":"sha256:`)

	second := newTestAPI(t, with("pepper-b-0123456789", "pepper-a-0123456789"))
	second.Store = reopen(t, first.path)
	assert.Equal(t, 200, second.send("GET", "/key-auths/old", "").Code)
	assert.Equal(t, 409, second.send("POST", "/consumers/alice/key-auth", `{"key":"old"}`).Code)
	assert.Equal(t, 200, second.send("PATCH", "/key-auths/old", `{"key":"old"}`).Code, "the same key under the new pepper")
	assert.Equal(t, 200, second.send("GET", "/key-auths/old", "").Code)
	assert.Equal(t, 404, first.send("GET", "/key-auths/old", "").Code)
}

// A change is recorded with who made it, and without what it was about.
func TestAudit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	audit, err := NewAudit(path, slog.New(slog.NewJSONHandler(io.Discard, nil)))
	require.NoError(t, err)
	a := newTestAPI(t, func(o *Options) { o.Audit = audit })
	const id, consumer = "aaaaaaaa-0000-4000-8000-000000000001", "11111111-1111-4111-8111-111111111111"
	for _, r := range [][3]string{
		{"POST", "/consumers", `{"id":"` + consumer + `","username":"alice"}`},
		{"POST", "/consumers/alice/key-auth", `{"id":"` + id + `","key":"secret-key","tags":["secret-tag"]}`},
		{"POST", "/consumers/alice/key-auth", `{"key":"secret-key"}`}, // refused
		{"GET", "/key-auths/secret-key", ""},
		{"PATCH", "/key-auths/secret-key", `{"disabled":true}`},
		{"PUT", "/key-auths/secret-key", `{"consumer":{"username":"alice"}}`},
		{"POST", "/key-auths/secret-key/rotate", `{"key":"secret-key2","id":"aaaaaaaa-0000-4000-8000-000000000002"}`},
		{"DELETE", "/key-auths/secret-key", ""},
		{"DELETE", "/key-auths/secret-key", ""}, // nothing
		{"DELETE", "/consumers/alice", ""},
	} {
		a.send(r[0], r[1], r[2])
	}
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.NotContains(t, string(text), "secret")
	var got []string
	for line := range strings.Lines(string(text)) {
		var e event
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.Equal(t, "2023-11-14T22:13:20Z", e.Time)
		if e.Entity == credentialEntity {
			assert.Equal(t, consumer, e.Consumer)
		}
		got = append(got, e.Action+" "+e.Entity+" "+e.ID[len(e.ID)-1:]+" "+strings.Join(e.Fields, ","))
	}
	assert.Equal(t, []string{
		"create consumer 1 id,username", "create credential 1 id,key,tags", "update credential 1 disabled", "replace credential 1 consumer",
		"create credential 2 id,key", "rotate credential 1 expires_at", "delete credential 1 ", "delete credential 2 ", "delete consumer 1 ",
	}, got)

	require.NoError(t, os.Remove(path))
	require.NoError(t, os.Mkdir(path, 0o700))
	w := a.send("POST", "/consumers", `{"username":"bob"}`)
	assert.Equal(t, 500, w.Code)
	assert.Contains(t, w.Body.String(), "the change is stored, but could not be recorded")
}
