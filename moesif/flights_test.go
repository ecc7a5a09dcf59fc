package moesif

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestFlights holds the request path to its budget: round trips to Kong per event, the event itself included.
func TestFlights(t *testing.T) {
	json := []string{"Content-Type", "application/json"}
	for _, c := range []struct {
		name    string
		flags   []string
		config  []string
		body    string
		headers []string
		want    map[string]float64 // phase -> flights of one event
	}{
		{"full", nil, nil, `{"a":1}`, json, map[string]float64{"access": 2, "response": 2, "log": 3}},
		{"full, with a token", nil, nil, `{"a":1}`, append(json, "Authorization", "Bearer "+jwt(`{"sub":"u"}`)), map[string]float64{"access": 2, "response": 2, "log": 3}},
		{"no transaction id", nil, []string{"disable_transaction_id: true"}, `{"a":1}`, json, map[string]float64{"access": 1, "response": 2, "log": 3}},
		{"log only", []string{"-phases", "log"}, nil, `{"a":1}`, json, map[string]float64{"log": 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.MkdirTemp("", "mm")
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			socket := filepath.Join(dir, "metrics.socket")
			collector, endpoint := serveCollector(t)
			g := startGatewayWithFlags(t, buildPlugin(t), append(c.flags, "-metrics", "unix:"+socket), endpoint, collector, c.config...)
			const requests = 10
			for i := range requests {
				g.send("POST", fmt.Sprintf("/json/%d", i), c.body, c.headers...)
			}
			g.events(requests)
			events, flights := scrape(t, socket, "moesif_server_events_total"), scrape(t, socket, "moesif_server_flights_total")
			for phase, want := range c.want {
				require.EqualValues(t, requests, events[phase], phase)
				assert.LessOrEqualf(t, flights[phase]/events[phase], want, "flights of %s", phase)
			}
			assert.Len(t, events, len(c.want), "no other phase is on the request's path: %v", events)
		})
	}
}

// scrape reads a counter by its phase label.
func scrape(t *testing.T, socket, metric string) map[string]float64 {
	t.Helper()
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Get("http://metrics/metrics")
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	values := map[string]float64{}
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		var phase string
		var value float64
		if rest, ok := strings.CutPrefix(lines.Text(), metric+`{phase="`); ok {
			phase, rest, _ = strings.Cut(rest, `"} `)
			_, err := fmt.Sscan(rest, &value)
			require.NoError(t, err)
			values[phase] = value
		}
	}
	require.NotEmptyf(t, values, "%s is not in:\n%s", metric, text)
	return values
}
