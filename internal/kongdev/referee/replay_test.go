package referee

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev/external"
	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/internal/kongdev/replay"
	"kong-go-plugins/internal/transcript"
)

// TestReplay plays the gateway's side of the recordings to the recorded plugins, on both servers: they do what the plugins
// did when a real Kong was there.
func TestReplay(t *testing.T) {
	for _, c := range []struct{ plugin, server string }{{"tplug", onGoPDK}, {"tplug", onOurs}, {"probe", onGoPDK}, {"probe", onOurs}} {
		t.Run(c.plugin+" on "+c.server, func(t *testing.T) {
			prefix, err := os.MkdirTemp("", "kd") // short: socket paths are limited
			require.NoError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(prefix) })
			binary := install(t, prefix, c.server, c.plugin)
			stop, err := external.Run(external.Server{Name: c.plugin, StartCmd: binary + " -kong-prefix " + prefix}, os.Stderr, "crit")
			require.NoError(t, err)
			t.Cleanup(stop)
			socket := filepath.Join(prefix, c.plugin+".socket")
			dial := func() (net.Conn, error) { return net.Dial("unix", socket) }
			require.Eventually(t, func() bool {
				conn, err := dial()
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			}, patience, 5*time.Millisecond)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			require.NoError(t, kongdevtest.WaitWorker(ctx, socket, c.plugin))

			var all []frames.Frame
			for _, name := range recordings(c.plugin) {
				if name[:2] >= "14" && name[:2] < "20" { // the plugin dies in 14, and 15 and 16 are its next life's
					continue
				}
				recorded, err := transcript.Load(name)
				require.NoError(t, err)
				all = append(all, recorded...)
			}
			p := &replay.Player{Timeout: patience, Dial: dial}
			result, err := p.Play(t.Context(), all)
			require.NoError(t, err)
			if c.plugin == "tplug" { // 04's body was in a file, which these recordings do not hold
				require.Len(t, result.Differences, 1)
				assert.Equal(t, `"X-Body-Len", "20011 err=<nil>"`, result.Differences[0].Recorded)
			} else {
				assert.Empty(t, result.Differences)
			}
			assert.Greater(t, result.Events, 10)
			t.Logf("%d instances, %d events, %d calls", result.Instances, result.Events, result.Calls)
		})
	}
}
