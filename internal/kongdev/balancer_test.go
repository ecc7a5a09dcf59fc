package kongdev

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/declarative"
)

// What set_target and set_upstream lead to. Kong looks at the service's host
// once: when that is an address, a name set later is taken for one, and fails.
func TestTargets(t *testing.T) {
	setTarget := func(host string, port int) func(*fakeConn) {
		return func(c *fakeConn) {
			c.ask("kong.service.set_target", &kong_plugin_protocol.Target{Host: host, Port: int32(port)})
		}
	}
	setUpstream := func(name string) func(*fakeConn) {
		return func(c *fakeConn) { c.ask("kong.service.set_upstream", str(name)) }
	}
	tests := map[string]struct {
		service string
		do      func(port int) func(*fakeConn)
		status  int
		host    string // that the upstream sees; %d is its port
		log     string
	}{
		"an address for a name":        {"nowhere.invalid", func(port int) func(*fakeConn) { return setTarget("127.0.0.1", port) }, 200, "127.0.0.1", ""},
		"a name for a name":            {"nowhere.invalid", func(port int) func(*fakeConn) { return setTarget("localhost", port) }, 200, "localhost", ""},
		"an address for one":           {"127.0.0.9", func(port int) func(*fakeConn) { return setTarget("127.0.0.1", port) }, 200, "127.0.0.1", ""},
		"a name for an address":        {"127.0.0.1", func(port int) func(*fakeConn) { return setTarget("localhost", port) }, 500, "", "failed to set the current peer (address: localhost port: %d): no host allowed"},
		"an upstream for a name":       {"nowhere.invalid", func(int) func(*fakeConn) { return setUpstream("pool") }, 200, "127.0.0.1:%d", ""},
		"an upstream's name as target": {"nowhere.invalid", func(int) func(*fakeConn) { return setTarget("pool", 1) }, 200, "pool", ""},
		"an upstream for an address":   {"127.0.0.1", func(int) func(*fakeConn) { return setUpstream("pool") }, 500, "", "failed to set the current peer (address: pool port: %d): no host allowed"},
		"an unknown upstream":          {"127.0.0.1", func(int) func(*fakeConn) { return setUpstream("nobody") }, 200, "127.0.0.1:%d", ""},
		"an empty upstream":            {"nowhere.invalid", func(int) func(*fakeConn) { return setUpstream("empty") }, 503, "", ""},
		"a port too high":              {"127.0.0.1", func(int) func(*fakeConn) { return setTarget("127.0.0.1", 65536) }, 500, "", "port must be an integer between 0 and 65535: given 65536"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var host string
			var port int
			logged := make(chan string, 1)
			b, _ := newFakeBench(t, `"access","log"`, func(c *fakeConn, phase string, _ int32) {
				if phase == "log" {
					logged <- c.text("kong.log.serialize", nil)
					return
				}
				tt.do(port)(c)
			}, withUpstream(t, func(w http.ResponseWriter, r *http.Request) {
				host = r.Host
				_, _ = io.WriteString(w, "ok")
			}), func(o *Options) {
				s := o.Config.Services[0]
				port = s.Port
				s.Host = tt.service
				o.Config.Upstreams = []*declarative.Upstream{{Name: "pool", Targets: []declarative.Target{{Target: fmt.Sprintf("127.0.0.1:%d", port), Weight: 100}}}, {Name: "empty"}}
			})
			r := b.get("/")
			require.Equal(t, tt.status, r.StatusCode, r.body)
			if tt.status == 200 {
				assert.Equal(t, withPort(tt.host, port), host)
			}
			assert.Contains(t, <-logged, fmt.Sprintf(`"status":%d`, tt.status))
			if tt.log != "" {
				b.waitLog(withPort(tt.log, port))
			}
		})
	}
}

func withPort(text string, port int) string {
	return strings.ReplaceAll(text, "%d", strconv.Itoa(port))
}
