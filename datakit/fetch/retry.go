package fetch

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Retries say how often and when a request is sent again. The zero value is never.
type Retries struct {
	Count      int           // tries beside the first one
	Backoff    time.Duration // before the second try, doubled for each further one, half of it by chance: 100 ms
	MaxBackoff time.Duration // 5 s; a server that asks for more by Retry-After gets more
	On         Statuses      // answers after which to try again: 429 and 502 to 504
	AnyMethod  bool          // also methods whose repetition may do something twice, such as POST
}

var retriedStatuses = Statuses{{429, 429}, {502, 504}} // read-only

// Idempotent reports whether a request with this method may be sent twice.
func Idempotent(method string) bool {
	return slices.Contains([]string{http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete}, method)
}

// after returns how long to wait after a failed try, counted from 1, and whether to try again at all.
func (r *Retries) after(try int, method string, answer *Answer, failure error) (time.Duration, bool) {
	if try > r.Count || !r.AnyMethod && !Idempotent(method) {
		return 0, false
	}
	var asked time.Duration
	var refused *StatusError
	var broken *Error
	switch {
	case errors.As(failure, &refused):
		on := r.On
		if len(on) == 0 {
			on = retriedStatuses
		}
		if !on.Has(refused.Status) {
			return 0, false
		}
		asked = retryAfter(answer.Header.Get("Retry-After"), time.Now())
	case errors.As(failure, &broken):
		if !broken.passing() {
			return 0, false
		}
	default:
		return 0, false
	}
	return max(asked, r.backoff(try)), true
}

// backoff is the wait after a try: from half of the time to all of it, so that clients do not come back all at once.
func (r *Retries) backoff(try int) time.Duration {
	first, most := r.Backoff, r.MaxBackoff
	if first <= 0 {
		first = 100 * time.Millisecond
	}
	if most <= 0 {
		most = 5 * time.Second
	}
	wait := first
	for range try - 1 {
		if wait >= most {
			break
		}
		wait *= 2
	}
	wait = min(wait, max(most, first))
	return wait/2 + rand.N(wait/2+1)
}

// mostAsked bounds what a server can ask for where no context does.
const mostAsked = time.Minute

// retryAfter reads a header: seconds, or a date. 0 is nothing that can be read.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(text); err == nil {
		return time.Duration(min(max(seconds, 0), int(mostAsked/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), mostAsked)
	}
	return 0
}
