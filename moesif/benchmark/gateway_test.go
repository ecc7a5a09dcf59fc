// Package benchmark measures the plugin through kongdev against a plugin that does nothing, in one run on one machine:
// absolute numbers of two runs cannot be compared, ratios of one can.
package benchmark

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/internal/kongdev/kongdevtest"
	"kong-go-plugins/internal/pluginserver"
)

// noop has the phases of moesif and does nothing in them.
type noop struct{}

func (*noop) Access(*pdk.PDK)   {}
func (*noop) Response(*pdk.PDK) {}
func (*noop) Log(*pdk.PDK)      {}

// calls has the phases of moesif, makes the calls that it makes to capture everything, and does nothing else: what is left
// of a gap then is Kong's protocol.
type calls struct{}

const transactionHeader = "X-Moesif-Transaction-Id"

func (*calls) Access(kong *pdk.PDK) {
	names := []string{"http_x_moesif_transaction_id", "http_accept", "http_content_type", "request_method"}
	for _, name := range names {
		pluginserver.Prefetch(kong, pluginserver.AskVar(name))
	}
	for _, name := range names {
		_, _ = pluginserver.Var(kong, name)
	}
	_ = pluginserver.SetServiceHeader(kong, transactionHeader, "11111111-2222-4333-8444-555555555555")
	_ = pluginserver.SetResponseHeader(kong, transactionHeader, "11111111-2222-4333-8444-555555555555")
}

func (*calls) Response(kong *pdk.PDK) {
	pluginserver.Prefetch(kong, pluginserver.AskRequestBody(), pluginserver.AskVar("kong_request_id"), pluginserver.AskVar("http_x_moesif_transaction_id"))
	_, _, _ = pluginserver.RequestBody(kong, 1<<20)
	id, _ := pluginserver.Var(kong, "http_x_moesif_transaction_id")
	_ = pluginserver.SetResponseHeader(kong, transactionHeader, id)
}

func (*calls) Log(kong *pdk.PDK) {
	_, _ = pluginserver.Serialize(kong)
	pluginserver.AskLast(kong, pluginserver.AskResponseBody())
	_, _, _ = pluginserver.ResponseBody(kong, 1<<20)
}

// fewcalls is calls for a request whose bodies are not wanted: access switches Kong's buffering off, so that the response
// handler, for whose sake Kong buffers, is not called.
type fewcalls struct{}

func (*fewcalls) Access(kong *pdk.PDK) { _ = pluginserver.SetCtxFlag(kong, "buffered_proxying", false) }
func (*fewcalls) Response(*pdk.PDK)    {}
func (*fewcalls) Log(kong *pdk.PDK)    { _, _ = pluginserver.Serialize(kong) }

// onOurServer are the plugins that are run by this project's server.
var onOurServer = map[string]func() any{ // read-only
	"calls":    func() any { return &calls{} },
	"fewcalls": func() any { return &fewcalls{} },
}

// TestMain makes this test binary the tests, the plugin noop on go-pdk's own server, or one of those on ours.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name := filepath.Base(executable)
	switch newPlugin := onOurServer[name]; {
	case name == "noop":
		if err := server.StartServer(func() any { return &noop{} }, "1.0.0", 5); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case newPlugin != nil:
		os.Exit(pluginserver.Run(pluginserver.Plugin{Name: name, Version: "1.0.0", Priority: 5, New: newPlugin, FailOpen: true}))
	default:
		os.Exit(m.Run())
	}
}

const (
	slice   = 700 * time.Millisecond
	clients = 16
)

var (
	rounds = flag.Int("rounds", 7, "how often each variant has its turn")
	chosen = flag.String("variants", "", "names of variants with commas between, to run only these; the first of them in the table is the measure")
)

// A variant is one way to run a plugin under the same load.
type variant struct {
	name, plugin string
	flags        []string
	config       string // of the plugin, after its application
	headers      []string
}

func variants() []variant {
	return []variant{
		{name: "noop", plugin: "noop"},
		{name: "calls", plugin: "calls"},
		{name: "full", plugin: "moesif"},
		{name: "no-id", plugin: "moesif", config: "disable_transaction_id: true"},
		{name: "no-id-always", plugin: "moesif", flags: []string{"-buffer", "always"}, config: "disable_transaction_id: true"},
		{name: "masked", plugin: "moesif", config: "request_body_masks: [password, $.user.ssn, 'items[*].card'], response_body_masks: [token, secret], enable_compression: true"},
		{name: "opted-out-calls", plugin: "fewcalls"},
		{name: "opted-out", plugin: "moesif", config: "disable_transaction_id: true, disable_capture_request_body: true, disable_capture_response_body: true"},
		{name: "event-stream", plugin: "moesif", config: "disable_transaction_id: true, disable_capture_request_body: true", headers: []string{"Accept", "text/event-stream"}},
		{name: "always", plugin: "moesif", flags: []string{"-buffer", "always"}},
		{name: "on-demand", plugin: "moesif", flags: []string{"-phases", "access,log", "-buffer", "on-demand"}},
		{name: "access,log", plugin: "moesif", flags: []string{"-phases", "access,log"}},
		{name: "log", plugin: "moesif", flags: []string{"-phases", "log"}},
	}
}

// BenchmarkGateway prints requests/s and processor time of each variant, and both as ratios to the first: medians of
// rounds that take turns. Run it with -benchtime 1x.
func BenchmarkGateway(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(800)) // Kong collects no garbage in Go's way: that must not count against whoever makes calls
	body := `{"items":[` + strings.TrimSuffix(strings.Repeat(`{"id":12345,"name":"a thing","price":9.95,"tags":["x","y"]},`, 32), ",") + `]}`
	upstream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body)
	})
	collector := startCollector(b)

	list := variants()
	if *chosen != "" {
		names := strings.Split(*chosen, ",")
		list = slices.DeleteFunc(list, func(v variant) bool { return !slices.Contains(names, v.name) })
	}
	gateways := make([]*kongdevtest.Gateway, len(list))
	for i, v := range list {
		program := kongdevtest.Self
		if v.plugin == "moesif" {
			program = "" // built
		}
		gateways[i] = kongdevtest.Start(b, kongdevtest.Options{
			Config: fmt.Sprintf(`{_format_version: "3.0", services: [{name: up, url: "http://up.test", routes: [{name: all, paths: [/]}]}], plugins: [{name: %s%s}]}`,
				v.plugin, configOf(v, collector)),
			Plugins: map[string]string{v.plugin: program},
			Flags:   map[string][]string{v.plugin: v.flags}, Hosts: map[string]http.Handler{"up.test": upstream}, Untraced: true, LogLevel: "notice",
		})
	}
	for b.Loop() {
		rates, plugin, gateway := make([][]float64, len(list)), make([][]float64, len(list)), make([][]float64, len(list))
		for round := range *rounds + 1 {
			for i, v := range list {
				pid := gateways[i].PluginPID(v.plugin)
				ours, theirs := cpu(b, os.Getpid(), false), cpu(b, pid, true)
				rate, requests := load(b, gateways[i], v, body)
				gateways[i].WaitIdle()
				if round > 0 { // the first one warms up
					rates[i] = append(rates[i], rate)
					gateway[i] = append(gateway[i], (cpu(b, os.Getpid(), false)-ours)/requests)
					plugin[i] = append(plugin[i], (cpu(b, pid, true)-theirs)/requests)
				}
			}
		}
		for i, v := range list {
			b.ReportMetric((median(gateway[0])+median(plugin[0]))/(median(gateway[i])+median(plugin[i])), v.name+"-cpu-ratio")
			b.ReportMetric(median(rates[i]), v.name+"-req/s")
			b.ReportMetric(median(gateway[i]), v.name+"-gateway-us")
			b.ReportMetric(median(plugin[i]), v.name+"-plugin-us")
			if i > 0 {
				b.ReportMetric(median(rates[i])/median(rates[0]), v.name+"-ratio")
			}
		}
	}
	b.ReportMetric(0, "ns/op")
}

func configOf(v variant, collector string) string {
	if v.plugin != "moesif" {
		return ""
	}
	config := `, config: {application_id: bench, api_endpoint: "` + collector + `", spool_dir: ""`
	if v.config != "" {
		config += ", " + v.config
	}
	return config + "}"
}

// cpu is the processor time of a process in microseconds, its children's included if they are wanted.
func cpu(b *testing.B, pid int, children bool) (us float64) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	for _, ticks := range fields[11:13] { // utime, stime
		n, _ := strconv.ParseFloat(ticks, 64)
		us += n * 10000 // of 100 a second
	}
	if children {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // a child is that of the thread that started it
		for _, thread := range threads {
			list, _ := os.ReadFile(thread)
			for child := range strings.FieldsSeq(string(list)) {
				n, _ := strconv.Atoi(child)
				us += cpu(b, n, true)
			}
		}
	}
	return us
}

// load sends requests for a slice of time and returns how many a second, and how many.
func load(b *testing.B, g *kongdevtest.Gateway, v variant, body string) (rate, requests float64) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
	defer client.CloseIdleConnections()
	var sent atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for range clients {
		all.Go(func() {
			for time.Since(start) < slice {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, g.URL()+"/orders?limit=5", strings.NewReader(body))
				if err != nil {
					b.Error(err)
					return
				}
				request.Header.Set("Content-Type", "application/json")
				for i := 0; i+1 < len(v.headers); i += 2 {
					request.Header.Set(v.headers[i], v.headers[i+1])
				}
				response, err := client.Do(request)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK {
					b.Errorf("%s: status %d", v.name, response.StatusCode)
					return
				}
				sent.Add(1)
			}
		})
	}
	all.Wait()
	return float64(sent.Load()) / time.Since(start).Seconds(), float64(sent.Load())
}

func median(list []float64) float64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}
