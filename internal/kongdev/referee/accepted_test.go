package referee

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
)

// An acceptedDifference is one between kongdev's and the recorded Kong's answers to the client. There is none in the
// frames to the plugin or their order.
type acceptedDifference struct {
	what, why string
	without   func(answer) answer // takes it away
}

// acceptedDifferences are all of them; there may be ten.
var acceptedDifferences = []acceptedDifference{ // read-only
	{
		what: "the order of the response's header lines",
		why:  "Go's HTTP server sorts them; to HTTP their order means nothing as long as lines of one name keep theirs, which they do",
		without: func(a answer) answer {
			a.headers = slices.Clone(a.headers)
			slices.SortStableFunc(a.headers, func(x, y string) int { return compareNames(x, y) })
			return a
		},
	},
}

// needed tells which accepted differences there are between two answers.
func needed(want, got answer) []bool {
	out := make([]bool, len(acceptedDifferences))
	for i := range acceptedDifferences {
		w, g := want, got
		for j, d := range acceptedDifferences {
			if i != j {
				w, g = d.without(w), d.without(g)
			}
		}
		out[i] = !reflect.DeepEqual(w.normal(), g.normal())
	}
	return out
}

func compareNames(x, y string) int {
	return slices.Compare([]byte(headerName(x)), []byte(headerName(y)))
}

func headerName(line string) string {
	for i := range len(line) {
		if line[i] == ':' {
			return line[:i]
		}
	}
	return line
}

func TestAcceptedDifferencesAreFewAndExplained(t *testing.T) {
	assert.LessOrEqual(t, len(acceptedDifferences), 10)
	for _, d := range acceptedDifferences {
		assert.NotEmpty(t, d.what)
		assert.NotEmpty(t, d.why, d.what)
	}
}
