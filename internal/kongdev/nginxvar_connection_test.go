package kongdev

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"
)

// An oneConn sends all its requests on one connection, by HTTP/1.1. An http.Transport may open another: when it has not
// seen its own write end soon enough.
type oneConn struct {
	net.Conn
	in *bufio.Reader
}

func dialOne(t *testing.T, address string, config *tls.Config) *oneConn {
	t.Helper()
	scheme, host, _ := strings.Cut(address, "://")
	c, err := net.Dial("tcp", host)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	if scheme == "https" {
		c = tls.Client(c, config)
	}
	return &oneConn{c, bufio.NewReader(c)}
}

// RoundTrip implements http.RoundTripper. A body must be read before the next request.
func (c *oneConn) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Write(c); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(c.in, r)
	if t, ok := c.Conn.(*tls.Conn); ok && err == nil {
		state := t.ConnectionState()
		resp.TLS = &state
	}
	return resp, err
}

// What plugins learn of the client's connection.
func TestConnectionVariables(t *testing.T) {
	names := strings.Fields("scheme https ssl_protocol ssl_cipher ssl_server_name ssl_client_verify ssl_alpn_protocol ssl_session_reused http2 server_addr connection_requests remote_user binary_remote_addr connection connection_time")
	var got map[string]string
	logged := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		if phase == "log" {
			logged <- c.text("kong.log.serialize", nil) + c.text("kong.nginx.get_tls1_version_str", nil)
			return
		}
		got = map[string]string{"version": c.text("kong.nginx.get_tls1_version_str", nil)}
		for _, name := range names {
			got[name] = c.text("kong.nginx.get_var", str(name))
		}
	}, func(o *Options) { o.Listen = "127.0.0.1:0, 127.0.0.1:0 ssl" })
	get := func(t *testing.T, url string, version uint16, protocols *http.Protocols) string {
		config := &tls.Config{InsecureSkipVerify: true, ServerName: "name.example", MaxVersion: version} //nolint:gosec // its certificate is made for this run
		var client http.RoundTripper = &http.Transport{Protocols: protocols, TLSClientConfig: config}
		defer client.(*http.Transport).CloseIdleConnections()
		if protocols.HTTP1() {
			client = dialOne(t, url, config)
		}
		log := ""
		for range 2 {
			req, err := http.NewRequest("GET", url, nil)
			require.NoError(t, err)
			req.SetBasicAuth("me", "secret")
			resp, err := client.RoundTrip(req)
			require.NoError(t, err)
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			require.Equal(t, 200, resp.StatusCode)
			log = <-logged
			if resp.TLS != nil { // which cipher it is depends on what the machine's processor does quickly
				assert.Equal(t, opensslCipher(resp.TLS.CipherSuite), got["ssl_cipher"])
			}
		}
		return log
	}
	one, two, clear := new(http.Protocols), new(http.Protocols), new(http.Protocols)
	one.SetHTTP1(true)
	two.SetHTTP2(true)
	clear.SetUnencryptedHTTP2(true)
	tests := map[string]struct {
		tls       bool
		version   uint16
		protocols *http.Protocols
		want      map[string]string
	}{
		"plain": {false, 0, one, map[string]string{"scheme": "http", "https": "", "ssl_protocol": "", "ssl_client_verify": "", "http2": "", "version": ""}},
		"h2c":   {false, 0, clear, map[string]string{"scheme": "http", "ssl_protocol": "", "http2": "h2c"}},
		"TLS 1.2": {true, tls.VersionTLS12, one, map[string]string{
			"scheme": "https", "https": "on", "ssl_protocol": "TLSv1.2", "version": "TLSv1.2",
			"ssl_server_name": "name.example", "ssl_client_verify": "NONE", "ssl_session_reused": ".", "http2": "",
		}},
		"TLS 1.3": {true, tls.VersionTLS13, two, map[string]string{"ssl_protocol": "TLSv1.3", "ssl_alpn_protocol": "h2", "http2": "h2"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			url := b.URLs()[0]
			if tt.tls {
				url = b.URLs()[1]
			}
			log := get(t, url, tt.version, tt.protocols)
			for name, want := range tt.want {
				assert.Equal(t, want, got[name], name)
			}
			assert.Equal(t, "127.0.0.1", got["server_addr"])
			assert.Equal(t, "2", got["connection_requests"])
			assert.Equal(t, "me", got["remote_user"])
			assert.Equal(t, "\x7f\x00\x00\x01", got["binary_remote_addr"])
			assert.NotEqual(t, "0", got["connection"])
			assert.Regexp(t, `^\d+\.\d{3}$`, got["connection_time"])
			var serialized struct {
				Request struct{ TLS map[string]string }
			}
			require.NoError(t, json.Unmarshal([]byte(log), &serialized), "the version is empty in log")
			if tt.tls {
				assert.Equal(t, map[string]string{"version": got["ssl_protocol"], "cipher": got["ssl_cipher"], "client_verify": "NONE"}, serialized.Request.TLS)
			} else {
				assert.Nil(t, serialized.Request.TLS)
			}
		})
	}
}

func TestOpenSSLNames(t *testing.T) {
	for id, want := range map[uint16]string{
		tls.TLS_AES_256_GCM_SHA384: "TLS_AES_256_GCM_SHA384", tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: "ECDHE-RSA-CHACHA20-POLY1305",
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256: "AES128-GCM-SHA256", tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: "ECDHE-ECDSA-AES128-GCM-SHA256",
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA: "ECDHE-ECDSA-AES256-SHA",
	} {
		assert.Equal(t, want, opensslCipher(id))
	}
}

// Values of set_serialize_value go into the serialized request; one that finds no
// table on its way ends Kong's log phase before the first handler.
func TestSerializeValues(t *testing.T) {
	set := func(c *fakeConn, key string, v any) {
		value, err := structpb.NewValue(v)
		require.NoError(c.p.t, err)
		c.ask("kong.log.set_serialize_value", &kong_plugin_protocol.KV{K: key, V: value})
	}
	logged := make(chan string, 1)
	b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
		switch phase {
		case "access":
			set(c, "my.own.value", 1.5)
			set(c, "request.headers.host", "hidden")
			set(c, ".dot", "x")
			if c.text("kong.request.get_raw_query", nil) == "wrong" {
				set(c, "client_ip.x", "y")
			}
		case "log":
			set(c, "too.late", true)
			logged <- c.text("kong.log.serialize", nil)
		}
	})
	require.Equal(t, 200, b.get("/").StatusCode)
	text := <-logged
	for _, want := range []string{`"my":{"own":{"value":1.5}}`, `"host":"hidden"`, `".dot":"x"`} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "too")

	assert.Equal(t, 200, b.get("/?wrong").StatusCode, "the client has its answer")
	b.waitLog("The key 'client_ip.x' could not be used as a serialize value. Subkey 'client_ip' is not a table. It's 127.0.0.1")
	assert.EqualValues(t, 1, b.Stats().LostLogEvents)
	assert.Empty(t, logged)
}
