package nginx

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/header"
)

func TestParseHead(t *testing.T) {
	for in, want := range map[string]Head{
		"\r\n\nGET  /a?b=c  HTTP/1.1  \r\nhOST: X\r\nA:  b \t \r\n\r\n": {
			method: "GET", target: "/a?b=c", minor: 1, Headers: header.List{{Name: "hOST", Key: "host", Value: "X"}, {Name: "A", Key: "a", Value: "b \t"}}, Length: 46,
		},
		"GET / HTTP/1.0\n\n": {method: "GET", target: "/", Length: 16, close: true},
		"POST / HTTP/1.0\nConnection: Keep-Alive\nContent-Length: 12\n\n": {
			method: "POST", target: "/", Length: 59, bodyLength: 12,
			Headers: header.List{{Name: "Connection", Key: "connection", Value: "Keep-Alive"}, {Name: "Content-Length", Key: "content-length", Value: "12"}},
		},
		"GET http://Other.example:81?x HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\nUpgrade: y\r\n\r\n": {
			method: "GET", target: "http://Other.example:81?x", Host: "Other.example", minor: 1, Length: 85, close: true,
			Headers: header.List{{Name: "Host", Key: "host", Value: "h"}, {Name: "Connection", Key: "connection", Value: "x, Close"}, {Name: "Upgrade", Key: "upgrade", Value: "y"}},
		},
		"M-SEARCH /# HTTP/1.1\r\nHost: [::1]:80\r\nno-value\r\nodd(name): 1\r\nTransfer-Encoding: Chunked\r\n\r\n": {
			method: "M-SEARCH", target: "/#", minor: 1, Length: 92, bodyLength: -1, chunked: true,
			Headers: header.List{{Name: "Host", Key: "host", Value: "[::1]:80"}, {Name: "no-value", Key: "no-value", Value: ""}, {Name: "Transfer-Encoding", Key: "transfer-encoding", Value: "Chunked"}},
		},
	} {
		var p headParser
		h, n := p.parse([]byte(in + "rest"))
		require.NotNil(t, h, in)
		assert.Equal(t, want, *h, in)
		assert.Equal(t, len(in), n, in)
	}
}

func FuzzParseHead(f *testing.F) {
	for _, s := range []string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST http://a:1/?b HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", "\r\nHEAD /%41 HTTP/1.1\nHost: y\nTransfer-Encoding: chunked\n\n",
		"GET / HTTP/9\r\n", "get", "\x16\x03", "GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole headParser
		h, n := whole.parse(b)
		// It makes no difference how the bytes arrive, but for those behind a refusal.
		var slow headParser
		for i := range len(b) + 1 {
			got, m := slow.parse(b[:i])
			if got == nil {
				continue
			}
			require.NotNil(t, h)
			require.Equal(t, h.Status, got.Status)
			require.Equal(t, h.Headers, got.Headers)
			if h.Status == 0 {
				require.Equal(t, n, m)
			}
			break
		}
		if h == nil {
			return
		}
		require.LessOrEqual(t, n, len(b))
		// What Go's server reads instead it takes, with the same body.
		in, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(h.standIn())))
		require.NoError(t, err)
		if h.Status == 0 {
			require.Equal(t, h.bodyLength, in.ContentLength)
			require.Equal(t, h.close, in.Close)
		}
	})
}

func FuzzChunks(f *testing.F) {
	for _, s := range []string{"3\r\nabc\r\n0\r\n\r\nnext", "a;x=y\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n", "0\n\n", "fffffffffffffffff\r\n", "1\r\nab"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var whole, slow chunkScanner
		used, state := whole.scan(b)
		slowUsed, slowState := 0, chunksGoOn
		for i := 0; i < len(b) && slowState == chunksGoOn; i++ {
			n := 0
			n, slowState = slow.scan(b[i : i+1])
			slowUsed += n
		}
		require.Equal(t, []any{used, state}, []any{slowUsed, slowState})
		// Whatever Go takes for chunks, it ends at the same place.
		in := bytes.NewReader(b)
		buffered := bufio.NewReader(in)
		if _, err := io.Copy(io.Discard, httputil.NewChunkedReader(buffered)); err == nil {
			at := len(b) - in.Len() - buffered.Buffered() // before the trailers
			if state == chunksEnded && bytes.HasPrefix(b[at:], []byte("\r\n")) {
				require.Equal(t, at+2, used)
			}
		}
	})
}
