package benchmark

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// BenchmarkGateway measures requests through the development gateway, with everything on this machine: gateway, plugin,
// clients and upstream share its processors. Both plugins take turns, so that what else the machine does hits both alike;
// one operation is a turn of each.
func BenchmarkGateway(b *testing.B) {
	for _, c := range []struct {
		name, key string
		status    int
	}{{"valid key", goodKey, http.StatusOK}, {"wrong key", wrongKey, http.StatusUnauthorized}} {
		b.Run(c.name, func(b *testing.B) {
			callers, spent := map[string][]*caller{}, map[string]time.Duration{}
			for _, role := range []string{peer, ours} {
				callers[role] = dialCallers(b, startGateway(b, role), c.key, connections)
			}
			b.ResetTimer()
			for range b.N {
				for _, role := range []string{peer, ours} {
					begin := time.Now()
					if err := turn(callers[role], c.status); err != nil {
						b.Fatal(err)
					}
					spent[role] += time.Since(begin)
				}
			}
			b.StopTimer()
			reportRatio(b, spent)
		})
	}
}

func reportRatio(b *testing.B, spent map[string]time.Duration) {
	requests := float64(b.N * connections * perTurn)
	for role, d := range spent {
		b.ReportMetric(requests/d.Seconds(), role+"-requests/s")
	}
	b.ReportMetric(spent[peer].Seconds()/spent[ours].Seconds(), "ratio")
}

const (
	connections = 16
	perTurn     = 50 // requests of each connection
)

func turn(callers []*caller, status int) error {
	var group errgroup.Group
	for _, c := range callers {
		group.Go(func() error {
			for range perTurn {
				if err := c.send(status); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// startGateway starts a gateway with a plugin and returns its address.
func startGateway(b *testing.B, role string) (url string) {
	credential := config(b)["credentials"].([]map[string]any)[0]
	g := kongdevtest.Start(b, kongdevtest.Options{
		Untraced: true, LogLevel: "error", Plugins: map[string]string{role: kongdevtest.Self},
		Config: fmt.Sprintf(`
_format_version: "3.0"
consumers: [{username: bob}]
services: [{name: up, url: "http://up.test", routes: [{name: all, paths: [/]}]}]
plugins: [{name: %s, config: {snapshot: "", credentials: [{digest: "%s", consumer: bob, id: %s}]}}]
`, role, credential["digest"], credential["id"]),
		Hosts: map[string]http.Handler{"up.test": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })},
	})
	return g.URL()
}

func dialCallers(b *testing.B, url, key string, n int) []*caller {
	callers := make([]*caller, n)
	for i := range callers {
		callers[i] = dialCaller(b, url, key)
	}
	return callers
}

// A caller repeats one request on one connection, as cheaply as it can: its processor time is the gateway's, too.
type caller struct {
	conn    net.Conn
	r       *bufio.Reader
	request []byte
}

func dialCaller(b *testing.B, url, key string) *caller {
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	request := "GET / HTTP/1.1\r\nHost: gateway.test\r\napikey: " + key + "\r\n"
	for i := range 10 {
		request += fmt.Sprintf("X-Header-%02d: the value of header number %d\r\n", i, i)
	}
	return &caller{conn, bufio.NewReader(conn), []byte(request + "\r\n")}
}

func (c *caller) send(status int) error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	response, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, response.Body)
	if response.StatusCode != status {
		return fmt.Errorf("status %d, want %d", response.StatusCode, status)
	}
	return nil
}
