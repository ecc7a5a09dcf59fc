package remote

import (
	"math"
	"math/rand/v2"
)

// Rate returns the percentage of requests like this one that are kept: the lowest of the rates of the user, the company
// and the first regex entry that matches; only if there is none, the rate of the application.
func (s *Snapshot) Rate(r *Request) float64 {
	if s.config == nil {
		return 100
	}
	rate, found := s.config.identityRate(r)
	for i := range s.config.regex {
		if e := &s.config.regex[i]; e.match.holds(r, false) == yes {
			return min(rate, e.rate)
		}
	}
	if found {
		return rate
	}
	return s.config.rate
}

// MaxRate returns the highest rate that Rate can still return once the response's status, the request's body and an
// identity in the response's headers are known.
func (s *Snapshot) MaxRate(r *Request) float64 {
	if s.config == nil {
		return 100
	}
	rate, found := s.config.identityRate(r)
	highest := 0.0 // of the regex entries that may be the first to match
	for i := range s.config.regex {
		e := &s.config.regex[i]
		switch e.match.holds(r, true) {
		case yes:
			return min(rate, max(highest, e.rate))
		case maybe:
			highest = max(highest, e.rate)
		}
	}
	if found {
		return rate
	}
	highest = max(highest, s.config.rate)
	if r.User == "" {
		highest = max(highest, s.config.users.max)
	}
	if r.Company == "" {
		highest = max(highest, s.config.companies.max)
	}
	return highest
}

// identityRate returns the lower rate of user and company, 100 for neither.
func (c *config) identityRate(r *Request) (rate float64, found bool) {
	rate = 100
	if n, ok := c.users.of[r.User]; ok {
		rate, found = n, true
	}
	if n, ok := c.companies.of[r.Company]; ok {
		rate, found = min(rate, n), true
	}
	return rate, found
}

// Kept reports whether an event is kept that drew r in [0, 100): never at rate 0, always at 100.
func Kept(rate, r float64) bool { return rate > r }

// Weight returns how many requests an event that was kept stands for.
func Weight(rate float64) int {
	if !(rate > 0 && rate < 100) {
		return 1
	}
	return int(min(math.Floor(100/rate), math.MaxInt32))
}

// Draw returns a number in [0, 100) that depends on Kong's request id alone, so that every phase of a request draws the
// same. Without an id it is random.
func Draw(requestID string) float64 {
	if requestID == "" {
		return 100 * rand.Float64()
	}
	n := uint64(0xcbf29ce484222325) // FNV-1a
	for i := range len(requestID) {
		n = (n ^ uint64(requestID[i])) * 0x100000001b3
	}
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9 // which alone leaves the high bits of similar ids alike
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return 100 * (float64((n^n>>31)>>11) / (1 << 53))
}
