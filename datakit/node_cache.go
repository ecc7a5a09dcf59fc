package datakit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"kong-go-plugins/datakit/kv"
)

// cacheKind keeps values: with data it writes, without it reads.
var cacheKind = kind{
	since: "3.12",
	doc:   "Reads a value from the cache of `resources.cache`, or with `data` puts one in.",
	options: []option{
		{name: "ttl", typ: numberType, min: 1, max: maxTTL, unit: "s", otherwise: 300, since: "3.12", doc: "How long a value is fresh; the input `ttl` counts more."},
		{name: "bypass_on_error", typ: booleanType, otherwise: false, since: "3.12", doc: "A cache that fails is a miss, or `stored: false`, with a line in the log."},
		{name: "stale_ms", typ: numberType, min: 1, max: maxTimeout, unit: "ms",
			doc: "Of a node that puts values in: they are kept longer by this. In that time one request, and another one every 5 s until there is a new value, misses and gets it; all others hit and get the old one at once."},
		{name: "wait_ms", typ: numberType, min: 1, max: maxBudgetMS, unit: "ms",
			doc: "Of a node that reads: a miss waits this long for the value that an earlier miss of the same key is getting. The first one misses at once."},
	},
	in: []port{
		{name: "key", typ: stringType, required: true, since: "3.12", doc: "Not empty."}, {name: "data", typ: anyType, since: "3.12", doc: "The value to put in; null or none reads."},
		{name: "ttl", typ: numberType, since: "3.12", doc: "Seconds, above 0."},
	},
	out: []port{
		{name: "hit", typ: booleanType, since: "3.12", doc: "There was a value."}, {name: "miss", typ: booleanType, since: "3.12", doc: "There was none."},
		{name: "stored", typ: booleanType, since: "3.12", doc: "A value was put in."}, {name: "data", typ: anyType, since: "3.12", doc: "The value that was found, or put in."},
	},
	async: true,
	build: buildCache,
}

// maxTTL is the longest that a value is kept: a hundred years, so that no time overflows.
const maxTTL = 100 * 366 * 24 * 3600

type cacheNode struct {
	cache  *kv.Cache
	ttl    time.Duration
	stale  time.Duration // values are kept longer than they are fresh by this
	wait   time.Duration // a miss waits this long for another request's value
	bypass bool
	remote bool // values are not in this process
	report func(key, text string)
	name   string
	count  lookups
}

func buildCache(c *NodeConfig, b *builder) (node, error) {
	seconds, _ := c.whole("ttl")
	stale, _ := c.whole("stale_ms")
	wait, _ := c.whole("wait_ms")
	n := cacheNode{
		report: b.engine.report, name: c.Name, bypass: c.flag("bypass_on_error"), ttl: time.Duration(seconds) * time.Second,
		stale: time.Duration(stale) * time.Millisecond, wait: time.Duration(wait) * time.Millisecond,
	}
	if b.cacheConfig == nil {
		return nil, errors.New("type: a node of type cache needs resources.cache, which says where values are kept")
	}
	n.count = b.engine.stats.lookupsOf(c.Name)
	n.cache, n.remote = b.cache(), b.cacheConfig.Strategy != "memory"
	return n, nil
}

// waits reports whether the node is worth a goroutine: finding a value in memory takes less than starting one.
func (n cacheNode) waits() bool { return n.remote || n.wait > 0 }

func (n cacheNode) run(ctx context.Context, in values) (values, error) {
	key, _ := in.get("key").(string)
	if key == "" {
		return nil, errors.New("key: is empty or null")
	}
	data := in.get("data")
	if data == nil {
		return n.get(ctx, key)
	}
	return n.set(ctx, key, data, in.get("ttl"))
}

func (n cacheNode) get(ctx context.Context, key string) (values, error) {
	v, hit, err := n.cache.Get(ctx, key, n.wait)
	switch {
	case err != nil:
		n.count.failed.Inc()
	case hit:
		n.count.hit.Inc()
	default:
		n.count.miss.Inc()
	}
	if err != nil {
		if !n.bypass || ctx.Err() != nil {
			return nil, err
		}
		n.report("cache "+n.name, fmt.Sprintf("cache node %s goes on without its cache: %s", n.name, err))
		v, hit = nil, false
	}
	return values{{"hit", hit}, {"miss", !hit}, {"stored", false}, {"data", v}}, nil
}

func (n cacheNode) set(ctx context.Context, key string, data, given any) (values, error) {
	ttl := n.ttl
	if given != nil {
		number, _ := numberOf(given)
		seconds, ok := floatOf(number)
		if !ok || math.IsNaN(seconds) || seconds <= 0 || seconds > maxTTL {
			return nil, fmt.Errorf("ttl: expected seconds above 0, up to %d", maxTTL)
		}
		ttl = max(time.Duration(seconds*float64(time.Second)), time.Millisecond)
	}
	stored := true
	if err := n.cache.Set(ctx, key, data, ttl, n.stale); err == nil {
		n.count.stored.Inc()
	} else {
		n.count.failed.Inc()
		if !n.bypass || ctx.Err() != nil {
			return nil, err
		}
		n.report("cache "+n.name, fmt.Sprintf("cache node %s goes on without its cache: %s", n.name, err))
		stored = false
	}
	return values{{"hit", false}, {"miss", false}, {"stored", stored}, {"data", data}}, nil
}
