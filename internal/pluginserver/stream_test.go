package pluginserver

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRepliesAreCountedHoweverTheyArrive(t *testing.T) {
	var all []byte
	for _, payload := range []string{"", "abc", "", "defghij"} {
		all = appendFrame(all, payload)
	}
	for size := 1; size <= len(all); size++ {
		r := replies{left: 5}
		for rest := all; len(rest) > 0; {
			n := min(size, len(rest))
			r.skip(rest[:n])
			rest = rest[n:]
		}
		require.Equal(t, 1, r.left, "in pieces of %d bytes", size)
	}
}
