package store_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/keyauth/store/storetest"
)

// A fakeKong answers as the Admin API of Kong 3.9 does.
type fakeKong struct {
	mu      sync.Mutex
	keys    []map[string]any
	people  []map[string]any
	page    int // size of pages, whatever was asked for
	answer  func(http.ResponseWriter, *http.Request) bool
	asked   []string
	headers http.Header
}

func newFakeKong(given []storetest.Given) *fakeKong {
	k := &fakeKong{page: 3}
	seen := map[string]bool{}
	for _, g := range given {
		c := map[string]any{
			"id": g.ID, "key": g.Key, "consumer": map[string]any{"id": g.Consumer.ID}, "created_at": g.CreatedAt, "tags": g.Tags, "ttl": nil,
		}
		if g.ExpiresAt != 0 {
			c["ttl"] = g.ExpiresAt
		}
		k.keys = append(k.keys, c)
		if o := g.Consumer; !seen[o.ID] {
			seen[o.ID] = true
			k.people = append(k.people, map[string]any{
				"id": o.ID, "username": o.Username, "custom_id": o.CustomID, "tags": o.Tags, "created_at": o.CreatedAt, "updated_at": o.UpdatedAt,
			})
		}
	}
	return k
}

func (k *fakeKong) set(f func(*fakeKong)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(k)
}

func (k *fakeKong) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, r.URL.String())
	k.headers = r.Header
	if k.answer != nil && k.answer(w, r) {
		return
	}
	list := map[string][]map[string]any{"/key-auths": k.keys, "/consumers": k.people}[r.URL.Path]
	from := 0
	if text, err := base64.StdEncoding.DecodeString(r.FormValue("offset")); err == nil && len(text) > 0 {
		from, _ = strconv.Atoi(string(text))
	}
	page := map[string]any{"data": []any{}, "next": nil}
	if from < len(list) {
		page["data"] = list[from:min(from+k.page, len(list))]
	}
	if from+k.page < len(list) {
		offset := base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(from + k.page)))
		page["offset"], page["next"] = offset, r.URL.Path+"?offset="+offset
	}
	_ = json.NewEncoder(w).Encode(page)
}

func (k *fakeKong) open(t *testing.T, o store.AdminAPIOptions) *store.AdminAPI {
	t.Helper()
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	o.URL = server.URL + o.URL
	a, err := store.OpenAdminAPI(o, &hasher, quiet)
	require.NoError(t, err)
	return a
}

func openAdminAPI(t *testing.T, given []storetest.Given) store.Store {
	t.Helper()
	return newFakeKong(given).open(t, store.AdminAPIOptions{})
}

func TestAdminAPIFollows(t *testing.T) {
	t.Parallel()
	k := newFakeKong([]storetest.Given{given(1, "a"), given(2, "b")})
	a := k.open(t, store.AdminAPIOptions{Interval: 5 * time.Millisecond, Token: "secret", URL: "/"})
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	assert.True(t, has(a, "a"), "the first lookup waits for the first reading")
	k.set(func(k *fakeKong) {
		assert.Equal(t, "secret", k.headers.Get("Kong-Admin-Token"))
		assert.Equal(t, "/key-auths?size=1000", k.asked[0])
		k.keys[0]["key"] = "c"
	})
	require.Eventually(t, func() bool { return !has(a, "a") && has(a, "c") }, time.Minute, time.Millisecond)
	k.set(func(k *fakeKong) {
		k.keys = k.keys[1:]
		k.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/consumers" {
				return false
			}
			w.WriteHeader(500)
			return true
		}
	})
	require.Eventually(t, func() bool { return a.Health() != nil }, time.Minute, time.Millisecond)
	assert.True(t, has(a, "c"), "half a reading is none")
	assert.ErrorContains(t, a.Health(), "GET /consumers: status 500")
	k.set(func(k *fakeKong) { k.answer = nil })
	require.Eventually(t, func() bool { return a.Health() == nil && !has(a, "c") && has(a, "b") }, time.Minute, time.Millisecond)
	k.set(func(k *fakeKong) {
		for _, u := range k.asked {
			assert.NotContains(t, u, "key-auths/", "no key is put into an address")
		}
	})
}

// What is read once, to be kept elsewhere, is all pages, as digests.
func TestReadAdminAPI(t *testing.T) {
	t.Parallel()
	k := newFakeKong([]storetest.Given{given(1, "a"), given(2, "b"), given(3, "c"), given(4, "a-key-of-twenty-characters")})
	server := httptest.NewServer(k)
	t.Cleanup(server.Close)
	consumers, credentials, err := store.ReadAdminAPI(t.Context(), store.AdminAPIOptions{URL: server.URL}, &hasher)
	require.NoError(t, err)
	require.Len(t, credentials, 4)
	require.Len(t, consumers, len(k.people))
	assert.Equal(t, hasher.Hash([]byte("a")), credentials[0].Hash)
	assert.Equal(t, storetest.ID(1), credentials[0].ID)
	assert.NotEmpty(t, credentials[0].ConsumerRef)
	assert.True(t, credentials[0].Weak)
	assert.False(t, credentials[3].Weak)

	k.set(func(k *fakeKong) {
		k.answer = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(http.StatusNotFound); return true }
	})
	_, _, err = store.ReadAdminAPI(t.Context(), store.AdminAPIOptions{URL: server.URL}, &hasher)
	assert.ErrorContains(t, err, "GET /key-auths: status 404; correct admin_api.url")
}

// An Admin API that suddenly has nothing is believed at the third reading.
func TestAdminAPIWithoutAnyKey(t *testing.T) {
	t.Parallel()
	k := newFakeKong([]storetest.Given{given(1, "a")})
	a := k.open(t, store.AdminAPIOptions{Interval: 5 * time.Millisecond})
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	require.True(t, has(a, "a"))
	readings, looked := 0, make(chan struct{})
	k.set(func(k *fakeKong) {
		k.keys = nil
		k.answer = func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/key-auths" {
				readings++
				if readings <= 3 && !has(a, "a") {
					t.Errorf("forgotten after %d readings", readings-1)
				}
			}
			if readings == 3 { // which is believed, and ends what is wrong: not before that was seen
				select {
				case <-looked:
				case <-r.Context().Done():
				}
			}
			return false
		}
	})
	require.Eventually(t, func() bool { return a.Health() != nil }, time.Minute, time.Millisecond)
	assert.ErrorContains(t, a.Health(), "no keys at all any more")
	close(looked)
	require.Eventually(t, func() bool { return !has(a, "a") && a.Health() == nil }, time.Minute, time.Millisecond)
}

func TestAdminAPIAnswersItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	say := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return true
		}
	}
	for _, c := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
		want   string
	}{
		{"unauthorized", say(401, "{}"), "correct admin_api.token"},
		{"forbidden", say(403, "{}"), "correct admin_api.token"},
		{"not found", say(404, "{}"), "enable the bundled key-auth plugin"},
		{"redirect", say(302, "{}"), "status 302"},
		{"no JSON", say(200, `<html>secret`), "no JSON"},
		{"cut off", say(200, `{"data":[{"key":"secret"`), "cut off or no JSON"},
		{"type", say(200, `{"data":[{"id":"1","key":{"secret":1}}]}`), "no JSON"},
		{"no list", say(200, `{"version":"3.9.1"}`), "the answer has no data"},
		{"no key", say(200, `{"data":[{"id":"1"}]}`), "a credential has no id or no key"},
		{"no end", say(200, `{"data":[],"offset":"x"}`), "the list does not end"},
	} {
		k := newFakeKong([]storetest.Given{given(1, "a")})
		k.answer = c.answer
		a := k.open(t, store.AdminAPIOptions{Token: "secret", TokenHeader: "authorization"})
		_, err := a.Lookup(t.Context(), digest("a"))
		require.ErrorContains(t, err, c.want, c.name)
		assert.NotErrorIs(t, err, store.ErrNotFound, c.name)
		assert.NotContains(t, err.Error(), "secret", c.name)
		k.set(func(k *fakeKong) { assert.Equal(t, "Bearer secret", k.headers.Get("Authorization")) })
		require.NoError(t, a.Close())
	}
}

// Releases before 1.0 have other names and units; a ttl is what remains, or an epoch where there is no database.
func TestAdminAPIShapes(t *testing.T) {
	t.Parallel()
	k := &fakeKong{page: 10}
	k.keys = []map[string]any{
		{"id": "1", "key": "old", "consumer_id": "c1", "created_at": 1500000000123},
		{"id": "2", "key": "remains", "consumer": map[string]any{"id": "c2"}, "ttl": 3600, "created_at": 1700000000},
		{"id": "3", "key": "epoch", "consumer": map[string]any{"id": "c2"}, "ttl": 4000000000},
	}
	k.people = []map[string]any{{"id": "c1", "username": "alice", "custom_id": nil, "tags": nil}}
	a := k.open(t, store.AdminAPIOptions{})
	t.Cleanup(func() { assert.NoError(t, a.Close()) })
	assert.Equal(t, &store.Entry{ID: "1", Consumer: store.Consumer{ID: "c1", Username: "alice"}, CreatedAt: 1500000000}, lookup(t, a, "old"))
	assert.Equal(t, "c2", lookup(t, a, "remains").ConsumerRef, "a consumer that is not listed")
	assert.InDelta(t, time.Now().Unix()+3600, lookup(t, a, "remains").ExpiresAt, 60)
	assert.Equal(t, int64(4000000000), lookup(t, a, "epoch").ExpiresAt)
}

// refusesInHandshake is the last version of TLS in which a client learns that its certificate is refused before it sends a
// request: later it may see no more than a lost connection.
const refusesInHandshake = tls.VersionTLS12

func TestAdminAPIWithMutualTLS(t *testing.T) {
	t.Parallel()
	k := newFakeKong([]storetest.Given{given(1, "a")})
	server := httptest.NewUnstartedServer(k)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: refusesInHandshake}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	cert, key := selfSigned(t)
	for _, c := range []struct {
		name string
		tls  store.TLSOptions
		want string
	}{
		{"all there", store.TLSOptions{CA: ca, Cert: cert, Key: key}, ""},
		{"unknown authority", store.TLSOptions{Cert: cert, Key: key}, "certificate signed by unknown authority"},
		{"no client certificate", store.TLSOptions{CA: ca}, "handshake failure; the server does not take us: look at admin_api.cert and admin_api.key"},
		{"another name", store.TLSOptions{CA: ca, Cert: cert, Key: key, ServerName: "other.test"}, "not other.test"},
	} {
		a, err := store.OpenAdminAPI(store.AdminAPIOptions{URL: server.URL, TLS: c.tls}, &hasher, quiet)
		require.NoError(t, err, c.name)
		_, err = a.Lookup(t.Context(), digest("a"))
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.want, c.name)
		}
		require.NoError(t, a.Close())
	}
}

// A certificate that has expired is named as the cause, on either side, and no key is "wrong" because of it.
func TestAdminAPIWithExpiredCertificates(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	oldCert, oldKey := selfSignedUntil(t, time.Now().Add(-time.Minute))
	for _, c := range []struct {
		name              string
		server, serverKey string
		client, clientKey string
		want              string
	}{
		{"both good", cert, key, cert, key, ""},
		{"the server's", oldCert, oldKey, cert, key, "renew the server's certificate, or correct admin_api.ca"},
		{"the client's", cert, key, oldCert, oldKey, "remote error: tls: expired certificate; the server does not take us: look at admin_api.cert and admin_api.key, and when they end"},
	} {
		pair, err := tls.X509KeyPair([]byte(c.server), []byte(c.serverKey))
		require.NoError(t, err)
		clients := x509.NewCertPool()
		require.True(t, clients.AppendCertsFromPEM([]byte(c.client)))
		server := httptest.NewUnstartedServer(newFakeKong([]storetest.Given{given(1, "a")}))
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MaxVersion: refusesInHandshake}
		server.StartTLS()
		a, err := store.OpenAdminAPI(store.AdminAPIOptions{URL: server.URL, TLS: store.TLSOptions{CA: c.server, Cert: c.client, Key: c.clientKey}}, &hasher, quiet)
		require.NoError(t, err, c.name)
		_, err = a.Lookup(t.Context(), digest("a"))
		if c.want == "" {
			require.NoError(t, err, c.name)
		} else {
			require.ErrorContains(t, err, c.want, c.name)
			require.ErrorContains(t, err, "expired", c.name)
			assert.NotErrorIs(t, err, store.ErrNotFound)
		}
		require.NoError(t, a.Close())
		server.Close()
	}
}

func TestAdminAPIRefuses(t *testing.T) {
	t.Parallel()
	cert, key := selfSigned(t)
	for _, c := range []struct {
		o    store.AdminAPIOptions
		want string
	}{
		{store.AdminAPIOptions{}, "admin_api.url: "},
		{store.AdminAPIOptions{URL: "kong:8001"}, "admin_api.url: "},
		{store.AdminAPIOptions{URL: "http://h", Token: "secret\n"}, "admin_api.token: it has a line break"},
		{store.AdminAPIOptions{URL: "https://h", TLS: store.TLSOptions{CA: "secret"}}, "admin_api.ca: it is neither PEM text nor"},
		{store.AdminAPIOptions{URL: "https://h", TLS: store.TLSOptions{CA: "/no/such/file"}}, "admin_api.ca: open /no/such/file"},
		{store.AdminAPIOptions{URL: "https://h", TLS: store.TLSOptions{CA: key}}, "admin_api.ca: it has no certificate"},
		{store.AdminAPIOptions{URL: "https://h", TLS: store.TLSOptions{Cert: cert}}, "admin_api.key: it is missing, though there is a cert"},
		{store.AdminAPIOptions{URL: "https://h", TLS: store.TLSOptions{Cert: cert, Key: cert}}, "admin_api.key: it does not fit cert"},
	} {
		_, err := store.OpenAdminAPI(c.o, &hasher, quiet)
		require.ErrorContains(t, err, c.want)
		assert.NotContains(t, err.Error(), "secret")
	}
}

// Closing does not wait for an answer.
func TestAdminAPIThatHangs(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stop }))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(stop) })
	a, err := store.OpenAdminAPI(store.AdminAPIOptions{URL: server.URL}, &hasher, quiet)
	require.NoError(t, err)
	require.NoError(t, a.Close())
}
