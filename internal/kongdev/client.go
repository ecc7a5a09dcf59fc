package kongdev

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/nginx"
)

// More of nginx's limits for clients, as Kong leaves them.
const (
	keepaliveTimeout = 75 * time.Second
	lingerTimeout    = 5 * time.Second
	lingerTime       = 30 * time.Second
)

// refused is the status for a request that nginx itself refuses: with a line
// that fits into no buffer or is wrong, or a method that nothing proxies. 0 is none.
func (q *request) refused() int {
	switch {
	case q.head != nil:
		return q.head.Status
	case !nginx.WellFormed(q.method, q.in.RequestURI):
		return http.StatusBadRequest
	case q.method == http.MethodTrace || q.method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case len(q.method)+len(q.uri)+len("  HTTP/1.1\r\n") > nginx.MaxHeaderLine:
		return http.StatusRequestURITooLong
	}
	total := 0
	for i := range q.headers {
		n := len(q.headers[i].Name) + len(q.headers[i].Value) + len(": \r\n")
		if n > nginx.MaxHeaderLine {
			return nginx.StatusHeaderTooLarge
		}
		total += n
	}
	if total > nginx.MaxHeaderBytes {
		return nginx.StatusHeaderTooLarge
	}
	return 0
}

// refuse answers a request that nginx refuses. Some statuses have no page of
// Kong's, and a client that is gone or too slow gets none.
func (q *request) refuse(status int) {
	q.in.Close = true
	if q.head != nil && q.head.Silent {
		q.status, q.out.broken = status, true
		return
	}
	title := nginxPages[status]
	if title == "" {
		q.upstreamFailed(status)
		return
	}
	heading, more := title, ""
	if status == nginx.StatusToHTTPS {
		status, heading, more = http.StatusBadRequest, "400 Bad Request", "<center>The plain HTTP request was sent to HTTPS port</center>\r\n"
	}
	q.answer(&kongReply{status, []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + heading + "</h1></center>\r\n" +
		more + "<hr><center>openresty</center>\r\n</body>\r\n</html>\r\n"), lua.NewFields(map[string]lua.Value{"Content-Type": "text/html"})})
}

// nginxPages are the titles of nginx's own pages for what Kong has none for.
var nginxPages = map[int]string{ // read-only
	nginx.StatusToHTTPS: "400 The plain HTTP request was sent to HTTPS port", 501: "501 Not Implemented", 505: "505 HTTP Version Not Supported",
}

// statusClientGone is nginx's own number; clients see nothing of it.
const statusClientGone = 499

// errClientTimeout is the end of a body that did not arrive in time.
var errClientTimeout = errors.New("client timed out") // read-only

// A patientBody reads a client's body and gives up when nothing arrives for
// nginx.ClientTimeout.
type patientBody struct {
	io.Reader
	control *http.ResponseController
	wait    time.Duration
	ended   bool
}

func (b *patientBody) Read(p []byte) (int, error) {
	_ = b.control.SetReadDeadline(time.Now().Add(b.wait))
	n, err := b.Reader.Read(p)
	if err == nil {
		return n, nil
	}
	b.ended = err == io.EOF
	_ = b.control.SetReadDeadline(time.Time{}) // the server goes on to watch the connection
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errClientTimeout
	}
	return n, err
}

// linger gives a client that has its answer a while to send the rest of its
// body, as nginx does: what is left would be taken for the next request. It
// reports whether the connection can be used again.
func (q *request) linger() bool {
	b, ok := q.body.src.(*patientBody)
	if !ok || b.ended || q.in.ProtoMajor != 1 {
		return true
	}
	b.wait = min(b.wait, lingerTimeout)
	if q.in.Close { // the server reads on by itself and closes
		_ = b.control.SetReadDeadline(time.Now().Add(b.wait))
		return true
	}
	buf := q.gw.buffers.Get().(*[16 << 10]byte)
	defer q.gw.buffers.Put(buf)
	for end := time.Now().Add(lingerTime); time.Now().Before(end); {
		if _, err := b.Read(buf[:]); err != nil {
			break
		}
	}
	return b.ended
}

// abort ends the connection in the middle.
func (q *request) abort() {
	_ = q.out.control.SetReadDeadline(time.Now()) // the server tries to read the body's rest first
	panic(http.ErrAbortHandler)
}

// unread reports a body that has not arrived whole and may never.
func (q *request) unread() bool {
	b, ok := q.body.src.(*patientBody)
	return ok && !b.ended && q.in.ProtoMajor == 1
}

// send writes to the client and reports whether that was possible. A client
// that takes nothing for nginx.ClientTimeout is cut off.
func (w *clientWriter) send(b []byte) (int, bool) {
	if w.gone {
		return 0, false
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(nginx.ClientTimeout))
	n, err := w.Write(b)
	if err != nil {
		w.gone = true
	}
	return n, err == nil
}

// flush hands everything written so far to the client.
func (w *clientWriter) flush() {
	if w.gone {
		return
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(nginx.ClientTimeout))
	if w.control.Flush() != nil {
		w.gone = true
	}
}

// clientHost is nginx's $host: the Host header in lower case without port and
// final dot, or the server's own name.
func clientHost(host string) string {
	host = strings.ToLower(host)
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return host[:end+1]
		}
	}
	host, _, _ = strings.Cut(host, ":")
	if host = strings.TrimSuffix(host, "."); host == "" {
		return "kong" // the server_name in Kong's nginx.conf
	}
	return host
}

// inboundVersion is the client's HTTP version as Lua writes the number.
func (q *request) inboundVersion() string {
	return lua.FormatNumber(float64(q.in.ProtoMajor)+float64(q.in.ProtoMinor)/10, 14)
}
