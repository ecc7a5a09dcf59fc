package pluginserver

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// refusal plays one event and returns what Kong would answer with: the delayed response, or what Exit was given.
func refusal(t *testing.T, refuse func(*pdk.PDK)) (method string, args []byte) {
	t.Helper()
	r := newRig(t, testHandlers{access: func(_ *testConfig, kong *pdk.PDK) { refuse(kong) }})
	p := r.dial()
	calls, _ := p.run(p.start(nil), "access", noAnswer)
	require.NotEmpty(t, calls)
	last := calls[len(calls)-1]
	return last.method, last.args
}

func TestRefuseLeavesTheBodyToKong(t *testing.T) {
	headers := map[string]string{"content-type": "text/html", "Content_Length": "3", "Transfer-Encoding": "chunked",
		"Content-Encoding": "gzip", "Retry-After": "5\xff"}
	method, args := refusal(t, func(kong *pdk.PDK) { Refuse(kong, 429, "slow down", headers) })
	require.Equal(t, "kong.nginx.set_ctx", method)
	_, value, _ := kv(args)
	v, ok := parseValue(value, 0)
	require.True(t, ok)
	require.Equal(t, map[string]any{"Retry-After": "5?"}, v.(map[string]any)["headers"])
}

func TestRefuseWithAStatusThatIsNoRefusal(t *testing.T) {
	for _, status := range []int{-1, 0, 200, 399, 600} {
		_, args := refusal(t, func(kong *pdk.PDK) { Refuse(kong, status, "no", nil) })
		_, value, _ := kv(args)
		v, ok := parseValue(value, 0)
		require.True(t, ok)
		require.Equal(t, 500.0, v.(map[string]any)["status_code"], "status %d", status)
	}
}

// Kong's templates take the message as it is: one that would break out of them goes by Exit.
func TestRefuseQuotesTheMessage(t *testing.T) {
	for _, message := range []string{`a "key"`, `a\b`, "<script>", "a & b", "two\nlines", "\x7f"} {
		method, args := refusal(t, func(kong *pdk.PDK) { Refuse(kong, 403, message, map[string]string{"X-A": "1"}) })
		require.Equal(t, exitMethod, method, message)
		var body struct{ Message string }
		require.True(t, fields(args, func(num protowire.Number, _ uint64, b []byte) bool {
			return num != 2 || json.Unmarshal(b, &body) == nil
		}))
		require.Equal(t, message, body.Message)
	}
	for _, message := range []string{"", "Nö key's 100% here", strings.Repeat("m", 1000)} {
		method, _ := refusal(t, func(kong *pdk.PDK) { Refuse(kong, 403, message, nil) })
		require.Equal(t, "kong.nginx.set_ctx", method, message)
	}
}
