package datakit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// noop is a plugin that does nothing: the price of an event by itself.
type noop struct{}

func (*noop) Access(*pdk.PDK) {}

// BenchmarkPluginCPU measures the processor time of the plugin's processes per request, through the gateway: of a plugin
// that does nothing, and of static, jq and a header to the service. What the second takes over the first is the price of
// a workflow. The gateway is far slower than the plugin, so ns/op says nothing.
func BenchmarkPluginCPU(b *testing.B) {
	for name, config := range map[string]string{
		"noop": `{}`,
		"datakit": `{nodes: [{name: S, type: static, values: {headers: {X-Static: fixed}}},
          {name: J, type: jq, jq: '.headers * {"X-Query": (.query.q // "none")}', inputs: {headers: S.headers, query: request.query}, output: service_request.headers}]}`,
	} {
		b.Run(name, func(b *testing.B) {
			g := kongdevtest.Start(b, kongdevtest.Options{
				Config: `
_format_version: "3.0"
services:
- name: echo
  url: http://echo.kongdev
  routes:
  - {name: all, paths: [/]}
plugins:
- name: ` + name + `
  config: ` + config + `
`,
				Plugins: map[string]string{name: kongdevtest.Self}, Workers: 1, Untraced: true,
			})
			send := func(n int) {
				var clients sync.WaitGroup
				for range 4 {
					clients.Go(func() {
						for range n / 4 {
							g.Send("GET", "/ok?q=1", "")
						}
					})
				}
				clients.Wait()
			}
			send(400) // the instance is started, pools are filled
			n := max(b.N, 4000)
			before := ticks(b, g.PluginPID(name))
			b.ResetTimer()
			send(n)
			b.ReportMetric(float64(ticks(b, g.PluginPID(name))-before)*10_000/float64(n), "plugin-us/op")
		})
	}
}

// ticks are the hundredths of a second of processor time that a process and those below it have used.
func ticks(b *testing.B, pid int) (sum int) {
	b.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		var own int
		_, _ = fmt.Sscan(filepath.Base(filepath.Dir(file)), &own)
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if parent, _ := strconv.Atoi(f[1]); own == pid || parent == pid {
			user, _ := strconv.Atoi(f[11])
			system, _ := strconv.Atoi(f[12])
			sum += user + system
		}
	}
	return sum
}
