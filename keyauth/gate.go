package keyauth

import (
	"context"
	"flag"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/schema"
)

// storeGrace is how long a store outlives its last configuration: Kong makes every configuration anew when any of them
// changes.
const storeGrace = time.Minute

// A Gate is what all configurations of one process share: the stores, what is known of Kong's consumers, and the
// metrics. Make it with NewGate; it starts nothing before the first configuration. Safe for concurrent use.
type Gate struct {
	schema    schema.Plugin
	stats     *stats
	report    func(cause, text string)
	prefix    *flag.Flag // -kong-prefix; nil outside of a plugin server
	consumers consumers
	throttle  throttle
	stores    *pluginserver.Registry[storeID, *openStore]
	lastUsed  *pluginserver.Registry[string, *store.LastUsed] // by path
}

// NewGate returns a Gate that reports errors to report, which says a cause at most once a minute.
func NewGate(report func(cause, text string)) *Gate {
	g := &Gate{schema: Schema(), stats: newStats(), report: report}
	g.stores = pluginserver.NewRegistry[storeID](storeGrace, (*openStore).close)
	g.lastUsed = pluginserver.NewRegistry[string](storeGrace, (*store.LastUsed).Close)
	return g
}

// Register adds the plugin's metrics to r.
func (g *Gate) Register(r prometheus.Registerer) {
	r.MustRegister(g.stats.requests, g.stats.configErrors, storeMetrics{g})
}

// reportStore says that a store fails. Errors of stores hold no keys.
func (g *Gate) reportStore(err error) {
	text := "keys cannot be looked up, requests are answered with 500: " + store.Text(err)
	g.report(text, text)
}

// Close closes all stores, and writes down which keys were used.
func (g *Gate) Close(context.Context) error {
	g.stores.Close()
	g.lastUsed.Close()
	return nil
}

// path replaces the word for -kong-prefix at the beginning of a path.
func (g *Gate) path(p string) string {
	rest, ok := strings.CutPrefix(p, prefixWord)
	if !ok {
		return p
	}
	prefix := "/usr/local/kong"
	if g.prefix != nil {
		prefix = g.prefix.Value.String()
	}
	return prefix + rest
}

// lastUsedPath is the file that says when keys were last used: beside the keys file, or where that would be by default. It
// is empty outside of a plugin server when nothing says where Kong is.
func (g *Gate) lastUsedPath(snapshot string) string {
	if snapshot == "" {
		snapshot = defaultSnapshot
	}
	if g.prefix == nil && strings.HasPrefix(snapshot, prefixWord) {
		return ""
	}
	return store.LastUsedPath(g.path(snapshot))
}
