package send

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// An uploader sends batches to one collector under one application id. It never retries: the delivery decides what happens
// next. Safe for concurrent use.
type uploader struct {
	url           string
	applicationID string
	userAgent     string
	timeout       time.Duration
	compress      bool
	http          *http.Client
	failed        atomic.Bool // the last upload had no answer
	measure       atomic.Bool // the collector wants to know the length of what is sent before it is
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

// upload sends one event or more as one JSON array.
func (u *uploader) upload(ctx context.Context, events [][]byte) outcome {
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	request, err := u.request(ctx, events)
	if err != nil {
		return outcome{class: retry, err: err}
	}
	if u.failed.CompareAndSwap(true, false) { // HTTP/2 would keep using a connection that nobody answers on
		u.http.CloseIdleConnections()
	}
	response, err := u.http.Do(request)
	if err != nil {
		u.failed.Store(true)
		return outcome{class: retry, err: u.cause(err)}
	}
	defer func() {
		defer time.AfterFunc(answerTime, cancel).Stop()
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10) // so that the connection can be used again
		_ = response.Body.Close()
	}()
	o := outcome{
		class:     classify(response.StatusCode),
		status:    response.StatusCode,
		configTag: response.Header.Get("X-Moesif-Config-Etag"),
		rulesTag:  response.Header.Get("X-Moesif-Rules-Tag"),
	}
	if o.class == retry {
		o.after = retryAfter(response.Header.Get("Retry-After"), time.Now())
	}
	if o.status == http.StatusLengthRequired && u.compress && !u.measure.Swap(true) {
		o.class = retry
	}
	return o
}

func (u *uploader) request(ctx context.Context, events [][]byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.url, nil)
	if err != nil {
		return nil, u.cause(err)
	}
	body := func() (io.ReadCloser, error) { return io.NopCloser(&array{events: events}), nil }
	request.ContentLength = (&array{events: events}).size()
	if u.compress {
		body = func() (io.ReadCloser, error) { return newPacked(events), nil }
		request.ContentLength = -1
		if u.measure.Load() {
			request.ContentLength = packedSize(events)
		}
		request.Header.Set("Content-Encoding", "gzip")
	}
	request.Body, _ = body()
	request.GetBody = body // for a connection that turns out to be closed
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Moesif-Application-Id", u.applicationID)
	request.Header.Set("User-Agent", u.userAgent)
	return request, nil
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
	return withoutAnswer(err)
}

// withoutAnswer leaves out what an error repeats of an answer that is no HTTP: whoever answers there may repeat what it was
// sent.
func withoutAnswer(err error) error {
	text, _, quotes := strings.Cut(err.Error(), `"`)
	if quotes && (strings.Contains(text, "malformed") || strings.Contains(text, "transport connection broken")) {
		return errors.New(strings.TrimRight(text, ": "))
	}
	return err
}

// close gives the idle connection back.
func (u *uploader) close() { u.http.CloseIdleConnections() }
