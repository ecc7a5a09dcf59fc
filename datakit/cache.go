package datakit

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"net"
	"strconv"
	"time"

	"kong-go-plugins/datakit/kv"
)

// memoryCacheBytes is about what one cache in memory may hold.
const memoryCacheBytes = 64 << 20

// cache returns the cache of a workflow, which it shares with all that name the same one.
func (b *builder) cache() *kv.Cache {
	if b.opened == nil {
		var release func()
		b.opened, release = b.engine.caches.Acquire(b.cacheConfig.key(), b.cacheConfig.open)
		b.closers = append(b.closers, release)
	}
	return b.opened
}

// key is the same for configurations that mean the same cache.
func (c *CacheConfig) key() string {
	if c.Strategy == "memory" {
		return "memory " + c.Memory.DictionaryName
	}
	text, _ := json.Marshal(c.Redis)
	sum := sha256.Sum256(text) // it holds passwords
	return "redis " + hex.EncodeToString(sum[:])
}

func (c *CacheConfig) open() *kv.Cache {
	if c.Strategy == "memory" {
		return kv.New(kv.NewMemory(memoryCacheBytes))
	}
	return kv.New(kv.OpenRedis(c.Redis.options()))
}

// options are those of the client.
func (r *RedisCache) options() kv.RedisOptions {
	o := kv.RedisOptions{
		Username: r.Username, Password: r.Password, SentinelUsername: r.SentinelUsername, SentinelPassword: r.SentinelPassword,
		Database: r.Database, PoolSize: r.KeepalivePoolSize, MaxWaiting: r.KeepaliveBacklog, MaxRedirects: r.ClusterMaxRedirections,
		Proxied:        r.ConnectionIsProxied,
		ConnectTimeout: milliseconds(r.ConnectTimeout, r.Timeout), SendTimeout: milliseconds(r.SendTimeout, r.Timeout),
		ReadTimeout: milliseconds(r.ReadTimeout, r.Timeout),
	}
	switch {
	case r.SentinelMaster != "":
		o.Master, o.Role = r.SentinelMaster, r.SentinelRole
		for _, n := range r.SentinelNodes {
			o.Addresses = append(o.Addresses, hostPort(n.Host, n.Port))
		}
		o.Addresses = append(o.Addresses, r.SentinelAddresses...)
	case len(r.ClusterNodes)+len(r.ClusterAddresses) > 0:
		o.Cluster = true
		for _, n := range r.ClusterNodes {
			o.Addresses = append(o.Addresses, hostPort(n.IP, n.Port))
		}
		o.Addresses = append(o.Addresses, r.ClusterAddresses...)
	default:
		o.Addresses = []string{hostPort(r.Host, r.Port)}
	}
	if r.SSL {
		o.TLS = &tls.Config{ServerName: r.ServerName, InsecureSkipVerify: !r.SSLVerify, MinVersion: tls.VersionTLS12}
	}
	return o
}

func hostPort(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// milliseconds is a time of the configuration, or the old name's for all of them.
func milliseconds(ms int, old *int) time.Duration {
	if old != nil {
		ms = *old
	}
	return time.Duration(ms) * time.Millisecond
}

// check adds what is wrong with the cache beyond its schema.
func (c *CacheConfig) check(p *problems) {
	const at = "resources.cache.redis"
	if c == nil || c.Strategy != "redis" {
		return
	}
	r := c.Redis
	nodes := len(r.SentinelNodes) + len(r.SentinelAddresses)
	if some := r.SentinelMaster != "" || r.SentinelRole != "" || nodes > 0; some && (r.SentinelMaster == "" || r.SentinelRole == "" || nodes == 0) {
		p.add(at, "", "sentinel_master, sentinel_role and sentinel_nodes go together: give all three, or none")
	}
	if r.SentinelMaster != "" && len(r.ClusterNodes)+len(r.ClusterAddresses) > 0 {
		p.add(at, "", "is with sentinels and a cluster at the same time; use one of them")
	}
	if r.ConnectionIsProxied && (r.SentinelMaster != "" || len(r.ClusterNodes)+len(r.ClusterAddresses) > 0) {
		p.add(at+".connection_is_proxied", "", "needs host and port, not sentinels or a cluster")
	}
	for _, list := range []struct {
		name      string
		addresses []string
	}{{"sentinel_addresses", r.SentinelAddresses}, {"cluster_addresses", r.ClusterAddresses}} {
		for _, a := range list.addresses {
			if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
				p.add(at+"."+list.name, "", "%q is not host:port", shortened(a))
			}
		}
	}
}
