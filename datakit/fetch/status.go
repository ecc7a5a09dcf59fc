package fetch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Statuses is a set of response codes. An empty one stands for 200 to 299.
type Statuses []StatusRange

// A StatusRange is from one code to another, both included.
type StatusRange struct{ Low, High int }

// ParseStatus reads a code, or a range such as 200-299.
func ParseStatus(text string) (StatusRange, error) {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	l, errLow := strconv.Atoi(strings.TrimSpace(low))
	h, errHigh := strconv.Atoi(strings.TrimSpace(high))
	if errLow != nil || errHigh != nil || l < 100 || h > 599 || l > h {
		return StatusRange{}, errors.New(`expected a response code from 100 to 599, or a range such as "200-299"`)
	}
	return StatusRange{l, h}, nil
}

// Has reports whether a code is in the set.
func (s Statuses) Has(status int) bool {
	if len(s) == 0 {
		return status >= 200 && status <= 299
	}
	for _, r := range s {
		if status >= r.Low && status <= r.High {
			return true
		}
	}
	return false
}

// String lists the codes, as in 200-299, 404.
func (s Statuses) String() string {
	texts := make([]string, len(s))
	for i, r := range s {
		if texts[i] = strconv.Itoa(r.Low); r.High != r.Low {
			texts[i] += "-" + strconv.Itoa(r.High)
		}
	}
	return strings.Join(texts, ", ")
}

// A StatusError says that an answer arrived with a code that is not accepted.
type StatusError struct {
	Status   int
	Accepted Statuses
}

// Error has the text of Kong's Datakit where the code had to be from 200 to 299.
func (e *StatusError) Error() string {
	if len(e.Accepted) == 0 {
		return fmt.Sprintf("non-2XX response code: %d", e.Status)
	}
	return fmt.Sprintf("response code: %d is not among those accepted: %s", e.Status, e.Accepted)
}
