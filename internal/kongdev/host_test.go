package kongdev

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// A list for Host in SetHeaders becomes the text of a Lua table, which upstreams refuse.
func TestHostList(t *testing.T) {
	args := mustStruct(t, map[string]any{"Host": []any{"a.example", "b.example"}})
	b, _ := newFakeBench(t, `"access"`, func(c *fakeConn, _ string, _ int32) { c.ask("kong.service.request.set_headers", args) })
	r := b.get("/")
	assert.Equal(t, 400, r.StatusCode, r.body)
}
