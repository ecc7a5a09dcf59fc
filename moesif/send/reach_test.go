package send

import (
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReadCA(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	folder := t.TempDir()
	write := func(name string, data []byte) string {
		file := filepath.Join(folder, name)
		require.NoError(t, os.WriteFile(file, data, 0o600))
		return file
	}
	good := write("good.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	pool, err := ReadCA(good)
	require.NoError(t, err)
	set := quickUpload()
	set.Endpoint = server.URL
	for _, c := range []struct {
		o    HTTPOptions
		want class
	}{{HTTPOptions{RootCAs: pool}, sent}, {HTTPOptions{}, retry}} {
		env := quietEnv()
		env.HTTP = c.o
		u := newUploader(set, env)
		assert.Equal(t, c.want, u.upload(t.Context(), testEvents(1)).class)
		u.close()
	}

	for file, want := range map[string]string{
		filepath.Join(folder, "absent"):       "no such file",
		folder:                                "is a directory",
		write("empty", nil):                   "no certificate found",
		write("text", []byte("certificate!")): "no certificate found",
	} {
		_, err := ReadCA(file)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, err, file)
	}
}

func TestParseProxy(t *testing.T) {
	for _, s := range []string{"http://proxy:3128", "https://10.0.0.1:3129/", "socks5://[::1]:1080", "socks5h://proxy"} {
		u, err := ParseProxy(s)
		require.NoError(t, err, s)
		assert.Equal(t, s, u.String())
	}
	for s, want := range map[string]string{
		"proxy:3128": "scheme", "ftp://user:geheim@h": "scheme", "http://user:geheim@": "no host", "http://h:1/geheim": "end with the port",
		"http://user:geheim@h:x": "not a URL", "http://h?geheim": "end with the port", "https://user:geheim@h": "-collector-proxy-auth", "http://geheim@h:1": "-collector-proxy-auth", "://geheim": "not a URL", "//user:geheim@h": "scheme",
	} {
		_, err := ParseProxy(s)
		require.ErrorContains(t, err, want, s)
		assert.NotContains(t, err.Error(), "geheim")
		assert.Contains(t, err.Error(), "write ")
	}
}

// Uploads go through the proxy, which may ask for credentials and may be absent.
func TestProxy(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		assert.Equal(t, "http://collector.example.org/v1/events/batch", r.URL.String())
		asked.Add(1)
		if r.Header.Get("Proxy-Authorization") != "Basic dXNlcjpnZWhlaW0=" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer proxy.Close()
	set := quickUpload()
	for _, c := range []struct {
		proxy, password, endpoint string
		want                      outcome
	}{
		{proxy.URL, "geheim", "http://collector.example.org", outcome{class: sent, status: 201}},
		{proxy.URL, "falsch", "http://collector.example.org", outcome{class: hold, status: 407}},
		{"http://127.0.0.1:1", "geheim", "http://collector.example.org", outcome{class: retry}},
		{"http://127.0.0.1:1", "geheim", "https://collector.example.org", outcome{class: retry}},
		{"socks5://127.0.0.1:1", "geheim", "https://collector.example.org", outcome{class: retry}},
	} {
		var err error
		env := quietEnv()
		env.HTTP.Proxy, err = ParseProxy(c.proxy)
		require.NoError(t, err)
		env.HTTP.Proxy.User = url.UserPassword("user", c.password)
		set.Endpoint = c.endpoint
		u := newUploader(set, env)
		o := u.upload(t.Context(), testEvents(1))
		u.close()
		if o.err != nil {
			assert.NotContains(t, o.err.Error(), "geheim")
			assert.NotContains(t, o.err.Error(), "user")
			assert.Contains(t, o.err.Error(), "connection refused")
			o.err = nil
		}
		assert.Equal(t, c.want, o, c.endpoint)
	}
	assert.EqualValues(t, 2, asked.Load())
	assert.Equal(t, "check -collector-proxy-auth: the proxy wants other credentials", remedy(http.StatusProxyAuthRequired))
}

func TestReadProxyAuth(t *testing.T) {
	file := filepath.Join(t.TempDir(), "auth")
	for content, want := range map[string]string{"u:p": "u:p", " u:p:q\r\n": "u:p%3Aq", "u:\n": "u:"} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		user, err := ReadProxyAuth(file)
		require.NoError(t, err, content)
		assert.Equal(t, want, user.String())
	}
	for _, content := range []string{"", "geheim", ":geheim", "u:geheim\nv:geheim"} {
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		_, err := ReadProxyAuth(file)
		require.ErrorContains(t, err, file+": expected one line user:password", content)
		assert.NotContains(t, err.Error(), "geheim")
	}
}
