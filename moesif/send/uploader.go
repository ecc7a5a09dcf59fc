package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// An uploader sends batches to one collector under one application id. It does one request at a time and never retries:
// the queue decides what happens next.
type uploader struct {
	url           string
	applicationID string
	userAgent     string
	timeout       time.Duration
	compress      bool
	http          *http.Client
	gzip          *gzip.Writer // made on first use
	failed        bool         // the last upload had no answer
}

func newUploader(s Settings, env Env) *uploader {
	return &uploader{
		url:           s.Endpoint + "/v1/events/batch",
		applicationID: s.ApplicationID,
		userAgent:     env.UserAgent,
		timeout:       s.SendTimeout,
		compress:      s.Compress,
		http: &http.Client{
			Transport:     NewTransport(env.HTTP, s.ConnectTimeout, s.Keepalive),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// answerTime is how long the rest of an answer, whose status is known, is waited for.
const answerTime = 250 * time.Millisecond

// upload sends one event or more as one JSON array. Only one goroutine may call it.
func (u *uploader) upload(ctx context.Context, events [][]byte) outcome {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	request, err := u.request(ctx, events)
	if err != nil {
		return outcome{class: retry, err: err}
	}
	if u.failed { // HTTP/2 would keep using a connection that nobody answers on
		u.failed = false
		u.http.CloseIdleConnections()
	}
	response, err := u.http.Do(request)
	if err != nil {
		u.failed = true
		return outcome{class: retry, err: u.cause(err)}
	}
	defer func() {
		defer time.AfterFunc(answerTime, cancel).Stop()
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
		_ = response.Body.Close()
	}()
	o := outcome{class: classify(response.StatusCode), status: response.StatusCode}
	if o.class == retry {
		o.after = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	return o
}

func (u *uploader) request(ctx context.Context, events [][]byte) (*http.Request, error) {
	body, length := u.body(events)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, body())
	if err != nil {
		return nil, err
	}
	// A connection that the collector closed while it was idle is replaced without a failed upload.
	request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(body()), nil }
	request.ContentLength = length
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Moesif-Application-Id", u.applicationID)
	request.Header.Set("User-Agent", u.userAgent)
	if u.compress {
		request.Header.Set("Content-Encoding", "gzip")
	}
	return request, nil
}

// body returns the events as one array, readable any number of times, and its length. Uncompressed it is read from the
// events themselves, compressed it runs through gzip: the array as a whole never exists. The buffer is a new one each
// time, because the transport may still read from it after a failed request has returned.
func (u *uploader) body(events [][]byte) (read func() io.Reader, length int64) {
	if u.compress {
		packed := u.pack(events)
		return func() io.Reader { return bytes.NewReader(packed) }, int64(len(packed))
	}
	length = int64(1 + max(len(events), 1))
	for _, e := range events {
		length += int64(len(e))
	}
	return func() io.Reader {
		readers := make([]io.Reader, 0, 2*len(events)+1)
		for i, e := range events {
			readers = append(readers, bytes.NewReader(opener(i)), bytes.NewReader(e))
		}
		return io.MultiReader(append(readers, strings.NewReader("]"))...)
	}, length
}

// pack returns the events as a gzipped array.
func (u *uploader) pack(events [][]byte) []byte {
	var packed bytes.Buffer
	if u.gzip == nil {
		u.gzip = gzip.NewWriter(&packed)
	} else {
		u.gzip.Reset(&packed)
	}
	for i, e := range events { // a buffer takes everything, so nothing here can fail
		_, _ = u.gzip.Write(opener(i))
		_, _ = u.gzip.Write(e)
	}
	_, _ = u.gzip.Write([]byte{']'})
	_ = u.gzip.Close()
	return packed.Bytes()
}

// opener returns what stands before the ith event of an array.
func opener(i int) []byte {
	if i == 0 {
		return []byte{'['}
	}
	return []byte{','}
}

var errNoAnswer = errors.New("no answer")

// cause says in a few words why there was no answer.
func (u *uploader) cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the method and the URL
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%w within %s", errNoAnswer, u.timeout)
	}
	return err
}

// close gives the idle connection back.
func (u *uploader) close() { u.http.CloseIdleConnections() }
