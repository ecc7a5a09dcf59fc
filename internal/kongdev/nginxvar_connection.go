package kongdev

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/nginx"
)

// A clientConn is what nginx's variables tell about a client's connection.
type clientConn struct {
	serial   int64
	opened   time.Time
	requests atomic.Int64
	heads    *nginx.Conn // nil with HTTP/2 over TLS
}

// head is what the client sent for the request that Go's server hands over now;
// nil with HTTP/2.
func (c *clientConn) head() *nginx.Head {
	if c.heads == nil {
		return nil
	}
	return c.heads.Current()
}

type clientConnKey struct{}

// connContext numbers the clients' connections.
func (g *Gateway) connContext(ctx context.Context, c net.Conn) context.Context {
	heads, _ := c.(*nginx.Conn)
	return context.WithValue(ctx, clientConnKey{}, &clientConn{serial: g.clients.Add(1), opened: time.Now(), heads: heads})
}

// countOnConnection makes connection_requests of a request: its number on its connection.
func countOnConnection(r *http.Request) (*clientConn, int64) {
	c, ok := r.Context().Value(clientConnKey{}).(*clientConn)
	if !ok {
		return &clientConn{opened: time.Now()}, 1
	}
	return c, c.requests.Add(1)
}

// connectionVar are the variables of the client's connection.
func (q *request) connectionVar(name string) (lua.Value, bool) {
	switch name {
	case "connection":
		return strconv.FormatInt(q.client.serial, 10), true
	case "connection_requests":
		return strconv.FormatInt(q.onClient, 10), true
	case "connection_time":
		return seconds(time.Since(q.client.opened).Milliseconds()), true
	case "binary_remote_addr":
		if a, err := netip.ParseAddr(q.clientIP); err == nil {
			return string(a.Unmap().AsSlice()), true
		}
		return nil, true
	case "server_addr":
		if a, ok := q.in.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
			return a.IP.String(), true
		}
		return "127.0.0.1", true
	case "http2":
		switch {
		case q.in.ProtoMajor != 2:
			return "", true
		case q.isSecure():
			return "h2", true
		}
		return "h2c", true
	case "remote_user":
		return q.remoteUser(), true
	}
	return nil, false
}

// remoteUser is the name in Basic credentials.
func (q *request) remoteUser() lua.Value {
	auth, _ := q.headers.Get("authorization")
	kind, code, _ := strings.Cut(auth, " ")
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(code))
	if user, _, ok := strings.Cut(string(plain), ":"); ok && err == nil && strings.EqualFold(kind, "basic") && user != "" {
		return user
	}
	return nil
}

// tlsVersion is ngx.ssl.get_tls1_version_str, as ssl_protocol.
func tlsVersion(s *tls.ConnectionState) lua.Value {
	if s == nil || s.Version == 0 {
		return nil
	}
	return strings.Replace(tls.VersionName(s.Version), " ", "v", 1) // Go says "TLS 1.3"
}

// tlsVar are the ssl_ variables, without the prefix. All are nil without TLS.
func (q *request) tlsVar(name string) lua.Value {
	s := q.in.TLS
	if s == nil {
		return nil
	}
	text := func(t string) lua.Value {
		if t == "" {
			return nil
		}
		return t
	}
	switch name {
	case "server_name":
		return text(s.ServerName)
	case "protocol":
		return tlsVersion(s)
	}
	if s.Version == 0 { // the handshake has not ended
		return nil
	}
	switch name {
	case "cipher":
		return opensslCipher(s.CipherSuite)
	case "alpn_protocol":
		return text(s.NegotiatedProtocol)
	case "session_reused":
		if s.DidResume {
			return "r"
		}
		return "."
	case "session_id":
		return text(hex.EncodeToString(s.TLSUnique))
	case "client_verify":
		return "NONE" // no certificate is asked for
	}
	return nil
}

// opensslCipher is OpenSSL's name of a cipher suite; those of TLS 1.3 have one name only.
func opensslCipher(id uint16) string {
	name := tls.CipherSuiteName(id)
	kind, cipher, old := strings.Cut(strings.TrimPrefix(name, "TLS_"), "_WITH_")
	if !old {
		return name
	}
	if strings.HasPrefix(cipher, "CHACHA20_POLY1305") {
		cipher = "CHACHA20-POLY1305"
	}
	cipher = strings.ReplaceAll(strings.ReplaceAll(cipher, "AES_128", "AES128"), "AES_256", "AES256")
	cipher = strings.ReplaceAll(cipher, "_CBC", "")
	if kind == "RSA" {
		return strings.ReplaceAll(cipher, "_", "-")
	}
	return strings.ReplaceAll(kind+"-"+cipher, "_", "-")
}
