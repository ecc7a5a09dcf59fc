package keyauth

import (
	"github.com/prometheus/client_golang/prometheus"

	"kong-go-plugins/keyauth/store"
)

// storeMetrics show the stores that are open. Those of several configurations count together under their name.
type storeMetrics struct{ gate *Gate }

var (
	storeUp      = prometheus.NewDesc("keyauth_store_up", "Whether the store works: 0 when something is wrong with it, though what was known before may be used.", []string{"store"}, nil) // read-only
	storeKeys    = prometheus.NewDesc("keyauth_store_keys", "Keys that the store holds in memory.", []string{"store"}, nil)                                                                // read-only
	cacheLookups = prometheus.NewDesc("keyauth_cache_lookups_total", "Keys that were looked up in the cache of a remote store, by what came of it.", []string{"store", "result"}, nil)     // read-only
)

// Describe implements prometheus.Collector.
func (m storeMetrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- storeUp
	ch <- storeKeys
	ch <- cacheLookups
}

// Collect implements prometheus.Collector.
func (m storeMetrics) Collect(ch chan<- prometheus.Metric) {
	up, keys, lookups := map[string]float64{}, map[string]int{}, map[[2]string]uint64{}
	m.gate.stores.Each(func(_ storeID, o *openStore) {
		s := o.ready.Load()
		if s == nil {
			up[o.name] = 0
			return
		}
		if _, known := up[o.name]; !known {
			up[o.name] = 1
		}
		if r, ok := s.Store.(store.Reporter); ok && r.Health() != nil {
			up[o.name] = 0
		}
		if l, ok := s.Store.(interface{ Len() int }); ok {
			keys[o.name] += l.Len()
		}
		if c, ok := s.Store.(interface{ Stats() store.CacheStats }); ok {
			n := c.Stats()
			for result, count := range map[string]uint64{
				"hit": n.Hits, "negative_hit": n.NegativeHits, "asked": n.Questions, "failed": n.Failures, "stale": n.Stale,
			} {
				lookups[[2]string{o.name, result}] += count
			}
		}
	})
	for name, v := range up {
		ch <- prometheus.MustNewConstMetric(storeUp, prometheus.GaugeValue, v, name)
	}
	for name, n := range keys {
		ch <- prometheus.MustNewConstMetric(storeKeys, prometheus.GaugeValue, float64(n), name)
	}
	for labels, n := range lookups {
		ch <- prometheus.MustNewConstMetric(cacheLookups, prometheus.CounterValue, float64(n), labels[0], labels[1])
	}
}
