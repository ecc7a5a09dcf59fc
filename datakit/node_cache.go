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
	in:    []port{{name: "key", typ: stringType, required: true}, {name: "data", typ: anyType}, {name: "ttl", typ: numberType}},
	out:   []port{{name: "hit", typ: booleanType}, {name: "miss", typ: booleanType}, {name: "stored", typ: booleanType}, {name: "data", typ: anyType}},
	async: true,
	build: buildCache,
}

// defaultTTL is how long a value is kept when neither the node nor its input says.
const defaultTTL = 300 * time.Second

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
}

func buildCache(c *NodeConfig, b *builder) (node, error) {
	n := cacheNode{ttl: defaultTTL, report: b.engine.report, name: c.Name}
	if seconds, ok := c.whole("ttl", 1, maxTTL); ok {
		n.ttl = time.Duration(seconds) * time.Second
	}
	if ms, ok := c.whole("stale_ms", 1, maxTimeout); ok {
		n.stale = time.Duration(ms) * time.Millisecond
	}
	if ms, ok := c.whole("wait_ms", 1, maxBudgetMS); ok {
		n.wait = time.Duration(ms) * time.Millisecond
	}
	n.bypass = c.flag("bypass_on_error", false)
	if b.cacheConfig == nil {
		return nil, errors.New("type: a node of type cache needs resources.cache, which says where values are kept")
	}
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
	if err := n.cache.Set(ctx, key, data, ttl, n.stale); err != nil {
		if !n.bypass || ctx.Err() != nil {
			return nil, err
		}
		n.report("cache "+n.name, fmt.Sprintf("cache node %s goes on without its cache: %s", n.name, err))
		stored = false
	}
	return values{{"hit", false}, {"miss", false}, {"stored", stored}, {"data", data}}, nil
}
