package kongdevtest

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"sync"

	"kong-go-plugins/internal/kongdev/echo"
)

// An Upstream is kongdev's built-in one (its paths are those of kongdev -help), which remembers what it was asked and
// fails when told to. It is safe for concurrent use.
type Upstream struct {
	echo http.Handler

	mu       sync.Mutex
	requests []UpstreamRequest
	fault    UpstreamFault
	changed  chan struct{} // closed and replaced when the fault is
}

// An UpstreamRequest is a request as it reached the upstream.
type UpstreamRequest struct {
	Method, URI, Host string
	Header            http.Header
	Body              []byte
}

// An UpstreamFault is how an Upstream misbehaves. The zero value is none.
type UpstreamFault struct {
	Status int    // answer this
	Body   string // with this
	Cut    bool   // cut the connection without an answer: Kong answers 502
	Hang   bool   // answer nothing until the client gives up or the fault is changed; then the connection is cut
	Times  int    // this many requests, then none; 0 = until changed
}

// maxRequests bounds what an Upstream remembers; older requests are forgotten.
const maxRequests = 10000

func newUpstream() *Upstream {
	return &Upstream{echo: echo.New(), changed: make(chan struct{})}
}

// Requests are what has arrived, oldest first.
func (u *Upstream) Requests() []UpstreamRequest {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.requests)
}

// SetFault makes the next requests fail as f says; UpstreamFault{} ends that.
func (u *Upstream) SetFault(f UpstreamFault) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fault = f
	close(u.changed)
	u.changed = make(chan struct{})
}

// ServeHTTP implements http.Handler.
func (u *Upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // whoever sent it has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault, changed := u.take(UpstreamRequest{r.Method, r.RequestURI, r.Host, r.Header.Clone(), body})
	switch {
	case fault.Hang:
		select {
		case <-changed:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	case fault.Cut:
		panic(http.ErrAbortHandler)
	case fault.Status != 0:
		w.WriteHeader(fault.Status)
		_, _ = io.WriteString(w, fault.Body)
		return
	}
	u.echo.ServeHTTP(w, r)
}

// take remembers a request and returns its fault.
func (u *Upstream) take(r UpstreamRequest) (UpstreamFault, <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.requests = append(u.requests, r)
	if len(u.requests) > maxRequests {
		u.requests = u.requests[1:]
	}
	f := u.fault
	if f.Times > 0 {
		if u.fault.Times--; u.fault.Times == 0 {
			u.fault = UpstreamFault{}
		}
	}
	return f, u.changed
}
