package remote

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The documents, as they are called in metrics and lines.
const (
	configName = "config"
	rulesName  = "rules"
)

// What comes of a fetch.
const (
	changed     = "changed"     // a new version is in force
	unchanged   = "unchanged"   // the collector still has ours
	unreachable = "unreachable" // no answer, or not all of it
	refused     = "refused"     // a status other than 200 and 304
	invalid     = "invalid"     // an answer that cannot be used
)

var results = []string{changed, unchanged, unreachable, refused, invalid} // read-only

const (
	configTagHeader = "X-Moesif-Config-Etag"
	rulesTagHeader  = "X-Moesif-Rules-Tag"

	maxConfigBytes = 32 << 20 // of the configuration; it names every user who is over a quota
	maxRulesBytes  = 4 << 20
	maxTagBytes    = 256
)

// A document is what a Source knows of one of the two. Only the poller uses it, but for what Source.mu guards.
type document struct {
	name      string
	path      string // of the URL
	tagHeader string
	limit     int64
	use       func(body []byte) (problems *problems, err error) // puts a version in force

	have      bool
	sum       [sha256.Size]byte // of the version in force
	etag      string            // for If-None-Match
	refusals  int               // in a row, with a status that somebody has to act on
	notBefore time.Time         // the collector wants to be left alone until then
}

// A fetched is the result of one fetch.
type fetched struct {
	result   string
	err      error  // why it is not changed or unchanged
	problems string // what of the document cannot be used
	body     []byte // nil for a document that did not come, because it is unchanged
	etag     string
	tag      string // the document's own version
	rulesTag string // the version of the rules, as every answer tells it
}

// fetch asks for one document and puts a new version of it in force.
func (s *Source) fetch(ctx context.Context, d *document) (f fetched) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.options.Endpoint+d.path, nil)
	if err != nil {
		return fetched{result: unreachable, err: errors.New("api_endpoint is no URL")}
	}
	request.Header.Set("Accept", "application/json")
	request.Header.Set("X-Moesif-Application-Id", s.options.ApplicationID)
	request.Header.Set("User-Agent", s.options.UserAgent)
	if d.have && d.etag != "" {
		request.Header.Set("If-None-Match", d.etag)
	}
	response, err := s.client.Do(request)
	if err != nil {
		return fetched{result: unreachable, err: s.cause(err)}
	}
	defer func() { _ = response.Body.Close() }()
	f.tag, f.rulesTag = bounded(response.Header.Get(d.tagHeader)), bounded(response.Header.Get(rulesTagHeader))
	switch {
	case response.StatusCode == http.StatusNotModified && d.have:
		f.result = unchanged
		return f
	case response.StatusCode != http.StatusOK:
		d.refuse(response)
		f.result, f.err = refused, fmt.Errorf("the collector answered %d%s", response.StatusCode, remedy(response.StatusCode))
		return f
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, d.limit+1))
	switch {
	case err != nil:
		f.result, f.err = unreachable, s.cause(err)
	case int64(len(body)) > d.limit:
		f.result, f.err = invalid, fmt.Errorf("the answer is larger than %d bytes", d.limit)
	default:
		f.etag = bounded(response.Header.Get("ETag"))
		s.take(d, body, &f)
	}
	return f
}

// take puts a version in force that differs from the one that is.
func (s *Source) take(d *document, body []byte, f *fetched) {
	sum := sha256.Sum256(body)
	if d.have && sum == d.sum {
		f.result, f.body, d.etag = unchanged, body, f.etag
		return
	}
	p, err := d.use(body)
	if err != nil {
		f.result, f.err = invalid, err
		return
	}
	d.have, d.sum, d.etag = true, sum, f.etag
	f.result, f.problems, f.body = changed, p.String(), body
}

// refuse notes how long the collector is left alone.
func (d *document) refuse(response *http.Response) {
	switch status := response.StatusCode; {
	case status >= 401 && status <= 404:
		d.notBefore = time.Now().Add(min(pollInterval<<min(d.refusals, 8), longestWait) - jitter)
		d.refusals++
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		d.notBefore = time.Now().Add(min(retryAfter(response.Header.Get("Retry-After")), longestWait))
	}
}

// retryAfter reads the Retry-After header, seconds or a date.
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

// remedy says what to do about a status.
func remedy(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": check application_id"
	case http.StatusNotFound:
		return ": check api_endpoint"
	default:
		return ""
	}
}

// cause says in a few words why there was no answer.
func (s *Source) cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // without the URL
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", s.options.Timeout)
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

// bounded returns a header's value that is short enough to be kept and sent back, else "".
func bounded(s string) string {
	if len(s) > maxTagBytes {
		return ""
	}
	return s
}
