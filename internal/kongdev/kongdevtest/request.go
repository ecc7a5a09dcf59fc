package kongdevtest

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/stretchr/testify/require"
)

// A Response is a client's answer, read whole.
type Response struct {
	Status  int
	Header  http.Header
	Body    string
	Trailer http.Header
}

// ID is the request's X-Kong-Request-Id.
func (r *Response) ID() string { return r.Header.Get("X-Kong-Request-Id") }

// Do sends a request, whose URL may be a path, and reads the answer. It does not follow redirects and decompresses
// nothing. A failure below HTTP is the error: a cut connection, for instance.
func (g *Gateway) Do(request *http.Request) (*Response, error) {
	if request.URL.Host == "" {
		request.URL.Scheme, request.URL.Host, _ = strings.Cut(g.URL(), "://")
	}
	answer, err := g.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	return &Response{answer.StatusCode, answer.Header, string(body), answer.Trailer}, err
}

// Send sends a request with pairs of header names and values; a value for Host is the request's host. The test fails
// when no answer comes.
func (g *Gateway) Send(method, target, body string, headers ...string) *Response {
	g.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	request, err := http.NewRequestWithContext(g.t.Context(), method, g.URL()+target, content)
	require.NoError(g.t, err)
	require.Zero(g.t, len(headers)%2, "headers are pairs of name and value")
	for i := 0; i < len(headers); i += 2 {
		if strings.EqualFold(headers[i], "host") {
			request.Host = headers[i+1]
			continue
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	r, err := g.Do(request)
	require.NoError(g.t, err)
	return r
}

// Events waits until the collector has received n events and returns all it has, which may be more.
func (g *Gateway) Events(n int) []json.RawMessage {
	g.t.Helper()
	ctx, cancel := g.patience()
	defer cancel()
	events, err := g.Collector.Wait(ctx, n)
	require.NoError(g.t, err)
	return events
}
