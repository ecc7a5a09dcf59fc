package send

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClassify(t *testing.T) {
	for status, want := range map[int]class{
		200: sent, 201: sent, 202: sent, 204: sent, 301: hold, 302: hold, 307: hold, 400: split, 401: hold, 402: hold, 403: hold, 404: hold, 405: hold,
		408: retry, 413: split, 415: hold, 422: split, 425: retry, 429: retry, 500: retry, 502: retry, 503: retry, 504: retry, 599: retry,
	} {
		assert.Equal(t, want, classify(status), "%d", status)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "0": 0, " 7 ": 7 * time.Second, "-1": 0, "x": 0, "999999": maxRetryAfter, "99999999999999999999": 0,
		"Sun, 01 Mar 2026 10:00:30 GMT": 30 * time.Second, "Sun, 01 Mar 2026 09:00:00 GMT": 0, "Mon, 02 Mar 2026 10:00:00 GMT": maxRetryAfter,
	} {
		assert.Equal(t, want, retryAfter(value, now), "retryAfter(%q)", value)
	}
}

func TestBackoff(t *testing.T) {
	for n, ceiling := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second, time.Minute} {
		var least, most time.Duration = time.Hour, 0
		for range 500 {
			d := backoff(n)
			least, most = min(least, d), max(most, d)
		}
		assert.LessOrEqual(t, most, ceiling+time.Millisecond, "backoff(%d)", n)
		assert.Greater(t, most, ceiling/2, "backoff(%d) is spread over its range", n)
		assert.Less(t, least, ceiling/2, "backoff(%d) is spread over its range", n)
	}
	assert.LessOrEqual(t, backoff(1000), maxBackoff+time.Millisecond)
}
