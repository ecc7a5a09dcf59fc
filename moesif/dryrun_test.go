package moesif

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// With a file as endpoint nothing leaves the machine: the event is there as it would be sent, masks included, and no
// spool is left.
func TestDryRun(t *testing.T) {
	prefix := t.TempDir()
	file := filepath.Join(prefix, "events.ndjson")
	capture := NewCapture(func(_, text string) { assert.Fail(t, "said", text) })
	parseFlags(t, capture, "-kong-prefix", prefix)
	c := configOf(t, capture, fmt.Sprintf(`{"application_id":"a","api_endpoint":"file://%s","request_header_masks":["x-secret"]}`, file))
	require.NoError(t, c.Check())
	k := newFakeKong(t)
	k.log = `{"request":{"id":"req-1","url":"http://h:80/","method":"GET","headers":{"x-secret":"topsecret","x-other":"o"}},"response":{"status":200,"headers":{}}}`
	k.run("log", c.Log)
	require.NoError(t, capture.Close(t.Context()))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(data), "\n"))
	var e eventJSON
	require.NoError(t, json.Unmarshal(data, &e))
	assert.Equal(t, "o", e.Request.Headers["x-other"])
	assert.NotContains(t, string(data), "topsecret")
	entries, err := os.ReadDir(prefix)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "the file alone")
}
