package moesif

import (
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNewUUIDD21(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newUUID()
		assert.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`), id)
		assert.False(t, seen[id])
		seen[id] = true
	}
}

func TestClientTransactionID(t *testing.T) {
	long := strings.Repeat("x", maxTransactionID)
	for in, want := range map[string]string{
		"": "", "  ": "", " abc ": "abc", "a, b": "a, b", "not a uuid!": "not a uuid!", long: long,
		long + "x": "", "a\x00b": "", "é": "", "a\xff": "", "a\r\nb": "", "a\tb": "",
	} {
		assert.Equal(t, want, clientTransactionID(in), "clientTransactionID(%q)", in)
	}
}

// A client that repeats an id it has seen does not get the collector to take two requests for one.
func TestOwnTransactionIDD21(t *testing.T) {
	c := New(newTestCapture(t))
	id := newUUID()
	c.capture.issued.put(id, struct{}{})
	assert.Equal(t, id, c.ownTransactionID(id), "the header that we set")
	assert.NotEqual(t, id, c.ownTransactionID(id), "the same again, from a client")
	assert.NotEqual(t, "client", c.ownTransactionID("client"))
	assert.Len(t, c.ownTransactionID(""), 36)
}
