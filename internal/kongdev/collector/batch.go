package collector

import (
	"bytes"
	"compress/zlib"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// The limits of Moesif's collector, in bytes before compression. Source: its
// public API documentation.
const (
	maxEventBytes = 1 << 20
	maxBatchBytes = 50 << 20
)

// A badBatch is a request that the collector does not take.
type badBatch struct {
	status int
	text   string
}

func (e *badBatch) Error() string { return e.text }

// readBatch reads and checks a request with events.
func readBatch(r *http.Request) (Batch, []json.RawMessage, error) {
	b := Batch{
		Encoding:    r.Header.Get("Content-Encoding"),
		UserAgent:   r.UserAgent(),
		Application: r.Header.Get("X-Moesif-Application-Id"),
		At:          time.Now(),
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return b, nil, &badBatch{http.StatusUnsupportedMediaType, "Content-Type must be application/json"}
	}
	wire, err := io.ReadAll(io.LimitReader(r.Body, maxBatchBytes+1))
	b.WireBytes = len(wire)
	if err != nil {
		return b, nil, fmt.Errorf("body: %w", err)
	}
	if len(wire) > maxBatchBytes {
		return b, nil, &badBatch{http.StatusRequestEntityTooLarge, fmt.Sprintf("batch is larger than %d bytes", maxBatchBytes)}
	}
	body, err := inflate(wire, b.Encoding)
	if err != nil {
		return b, nil, err
	}
	b.Bytes = len(body)
	events := []json.RawMessage{body}
	if strings.HasSuffix(r.URL.Path, "/batch") {
		events = nil
		if err := json.Unmarshal(body, &events); err != nil {
			return b, nil, fmt.Errorf("body must be a JSON array of events: %w", err)
		}
		if events == nil {
			return b, nil, errors.New("body must be a JSON array of events, not null")
		}
	}
	b.Events = len(events)
	for i, e := range events {
		id, err := checkEvent(e)
		if err != nil {
			return b, events, fmt.Errorf("event %d: %w", i, err)
		}
		if id != "" {
			b.ids = append(b.ids, id)
		}
	}
	return b, events, nil
}

// inflate undoes the content encoding; what would grow beyond the limit of a
// batch is refused before it does.
func inflate(wire []byte, encoding string) ([]byte, error) {
	var r io.Reader
	var err error
	switch strings.ToLower(encoding) {
	case "", "identity":
		return wire, nil
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(wire))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(wire))
	default:
		return nil, &badBatch{http.StatusUnsupportedMediaType, "Content-Encoding must be gzip, deflate or absent"}
	}
	if err != nil {
		return nil, fmt.Errorf("body is not %s: %w", encoding, err)
	}
	body, err := io.ReadAll(io.LimitReader(r, maxBatchBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("body is not %s: %w", encoding, err)
	case len(body) > maxBatchBytes:
		return nil, &badBatch{http.StatusRequestEntityTooLarge, fmt.Sprintf("batch is larger than %d bytes", maxBatchBytes)}
	}
	return body, nil
}

// checkEvent checks what every event must have, and returns its transaction id.
func checkEvent(raw json.RawMessage) (id string, _ error) {
	if len(raw) > maxEventBytes {
		return "", &badBatch{http.StatusRequestEntityTooLarge, fmt.Sprintf("larger than %d bytes", maxEventBytes)}
	}
	var e struct {
		TransactionID string `json:"transaction_id"`
		Request       *struct {
			Time    string                     `json:"time"`
			URI     string                     `json:"uri"`
			Verb    string                     `json:"verb"`
			Headers map[string]json.RawMessage `json:"headers"`
		} `json:"request"`
		Response *struct {
			Time   string `json:"time"`
			Status int    `json:"status"`
		} `json:"response"`
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		return "", err
	}
	switch {
	case e.Request == nil:
		return "", errors.New("request is missing")
	case e.Request.Verb == "":
		return "", errors.New("request.verb is missing")
	case !strings.Contains(e.Request.URI, "://"):
		return "", errors.New("request.uri is no absolute URL")
	case !isEventTime(e.Request.Time):
		return "", errors.New("request.time is no ISO 8601 time")
	case e.Response != nil && !isEventTime(e.Response.Time):
		return "", errors.New("response.time is no ISO 8601 time")
	case e.Response != nil && (e.Response.Status < 100 || e.Response.Status > 999):
		return "", errors.New("response.status is no HTTP status")
	}
	return e.TransactionID, nil
}

// isEventTime takes a time with a zone or without, which means UTC.
func isEventTime(s string) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999"} {
		if _, err := time.Parse(layout, s); err == nil {
			return true
		}
	}
	return false
}
