package kongdev

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/lua"
)

// The log entry says the same when it is printed at once and when plugins have added values, for which it becomes a table.
func TestLogEntryForms(t *testing.T) {
	q := newTestEvent(t, phaseLog).req
	q.ctx.consumer = lua.NewFields(map[string]lua.Value{"id": "c", "tags": lua.NewList("a", "b")})
	q.ctx.credential = lua.NewFields(map[string]lua.Value{"id": "k", "consumer_id": "c"})
	for _, h := range [][2]string{{"Cookie", "a=1"}, {"Authorization", "Basic x"}, {"Cookie", "b=\"2\""}, {"authorization", "Basic y"}} {
		q.headers.Add(h[0], h[1])
	}
	q.response.Add("Set-Cookie", "a")
	q.response.Add("Connection", "keep-alive")
	q.response.Add("Set-Cookie", "b")
	q.tries = []*try{{start: time.UnixMilli(1795286203790), ip: "127.0.0.1", port: 1, state: "failed", code: 502}, {start: time.UnixMilli(1795286203791), ip: "::1", port: 2}}

	for range 2 { // what is printed once is the same later
		text := string(q.appendLogEntry(nil))
		table, err := q.serialize()
		require.NoError(t, err)
		assert.JSONEq(t, string(lua.AppendJSON(nil, table)), text)
		for _, part := range []string{`"cookie":["a=1","b=\"2\""]`, `"authorization":"REDACTED"`, `"set-cookie":["a","b"]`, `"connection":"close"`, `"consumer_id":"c"`, `"state":"failed"`} {
			assert.Contains(t, text, part)
		}
		assert.NotContains(t, text, "Basic")
	}
	assert.Contains(t, q.headers.Values("authorization"), "Basic y", "the request keeps it")
}
