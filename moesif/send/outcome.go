package send

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A class says what to do after an upload.
type class int

const (
	sent  class = iota // the collector has it
	retry              // try again later: overload, an outage, no answer
	split              // something in the batch is refused: find out what
	hold               // nothing will be taken until somebody changes something: keep it, ask now and then
)

func (c class) String() string {
	return [...]string{"sent", "retry", "refused", "held"}[c]
}

// An outcome is what one upload came to.
type outcome struct {
	class  class
	status int           // 0: there was no answer
	after  time.Duration // Retry-After; 0 for none
	err    error         // why there was no answer

	configTag, rulesTag string // the versions of what else the collector has for us, "" when the answer does not name them
}

// why says what went wrong.
func (o outcome) why() string {
	switch {
	case errors.Is(o.err, errUnwritable):
		return o.err.Error()
	case o.status == 0:
		return "the collector is out of reach: " + o.err.Error()
	}
	return fmt.Sprintf("the collector answered %d", o.status)
}

// asksForTime reports whether the collector has understood and takes the events later, so that they are not to blame.
func (o outcome) asksForTime() bool {
	return o.after > 0 || o.status == http.StatusRequestTimeout || o.status == http.StatusTooEarly || o.status == http.StatusTooManyRequests
}

// classify says what an answer means.
func classify(status int) class {
	switch {
	case status >= 200 && status < 300:
		return sent
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return split
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests, status >= 500:
		return retry
	}
	return hold // 401, 402, 403, 404; also redirects, which are not followed, and everything else
}

// remedy says what to do about a status that holds the queue.
func remedy(status int) string {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return "check application_id"
	case http.StatusPaymentRequired:
		return "check the plan of your Moesif account"
	case http.StatusProxyAuthRequired:
		return "check -collector-proxy-auth: the proxy wants other credentials"
	}
	return "check api_endpoint"
}

// maxRetryAfter bounds what a collector may ask us to wait.
const maxRetryAfter = 10 * time.Minute

// retryAfter reads the Retry-After header: seconds or a date.
func retryAfter(value string, now time.Time) time.Duration {
	value = strings.TrimSpace(value)
	d := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// Back-off between attempts: full jitter under a ceiling that doubles.
const (
	firstBackoff = 500 * time.Millisecond
	maxBackoff   = time.Minute
	probeEvery   = time.Minute // while held
)

// backoff returns how long to wait after the nth failure in a row, counted from 0.
func backoff(n int) time.Duration {
	ceiling := maxBackoff
	if n < 7 { // 0.5 s << 7 is more than a minute
		ceiling = min(firstBackoff<<n, maxBackoff)
	}
	return rand.N(ceiling) + time.Millisecond
}
