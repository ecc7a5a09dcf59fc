package kongdev

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// nginx's limits for clients, as Kong leaves them.
const (
	clientTimeout    = 60 * time.Second // client_header_timeout, client_body_timeout and send_timeout
	keepaliveTimeout = 75 * time.Second
	lingerTimeout    = 5 * time.Second
	lingerTime       = 30 * time.Second
	maxHeaderLine    = 8 << 10           // one of the large_client_header_buffers; the request line too
	maxHeaderBytes   = 4 * maxHeaderLine // all of them
)

// tooLarge is the status for a request that nginx itself refuses: with a line
// that fits into no buffer, or a method that nothing proxies. 0 is none.
func (q *request) tooLarge() int {
	switch {
	case q.method == http.MethodTrace || q.method == http.MethodConnect:
		return http.StatusMethodNotAllowed
	case len(q.method)+len(q.uri)+len("  HTTP/1.1\r\n") > maxHeaderLine:
		return http.StatusRequestURITooLong
	}
	total := 0
	for i := range q.headers {
		n := len(q.headers[i].name) + len(q.headers[i].value) + len(": \r\n")
		if n > maxHeaderLine {
			return statusHeaderTooLarge
		}
		total += n
	}
	if total > maxHeaderBytes {
		return statusHeaderTooLarge
	}
	return 0
}

// statusHeaderTooLarge is nginx's own number; clients see a 400.
const statusHeaderTooLarge = 494

// errClientTimeout is the end of a body that did not arrive in time.
var errClientTimeout = errors.New("client timed out") // read-only

// A patientBody reads a client's body and gives up when nothing arrives for
// clientTimeout.
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
// that takes nothing for clientTimeout is cut off.
func (w *clientWriter) send(b []byte) (int, bool) {
	if w.gone {
		return 0, false
	}
	_ = w.control.SetWriteDeadline(time.Now().Add(w.wait))
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
	_ = w.control.SetWriteDeadline(time.Now().Add(w.wait))
	if w.control.Flush() != nil {
		w.gone = true
	}
}

// clientHost is nginx's $host: the Host header in lower case without port and
// final dot.
func clientHost(host string) string {
	host = strings.ToLower(host)
	if strings.HasPrefix(host, "[") {
		if end := strings.IndexByte(host, ']'); end > 0 {
			return host[:end+1]
		}
	}
	host, _, _ = strings.Cut(host, ":")
	return strings.TrimSuffix(host, ".")
}

// inboundVersion is the client's HTTP version as Lua writes the number.
func (q *request) inboundVersion() string {
	return formatNumber(float64(q.in.ProtoMajor)+float64(q.in.ProtoMinor)/10, 14)
}
