package keyauth

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A sharedStore is how a store is opened that configurations with the same settings of it share.
type sharedStore struct {
	name string
	id   storeID
	open func(log *slog.Logger) (store.Store, error)
}

// A storeID tells the stores of different settings apart. It is a hash, because secrets are among them.
type storeID [sha256.Size]byte

// shared returns a store by what configures it.
func shared(name string, open func(log *slog.Logger) (store.Store, error), settings ...any) sharedStore {
	text, _ := json.Marshal(append(settings, name)) // texts and numbers always marshal
	return sharedStore{name, sha256.Sum256(text), open}
}

// sharedStores are the stores that the configuration names, in order, and what is wrong with their settings. Those of the
// node are its files; its credentials are the configuration's own, in front of all that follow.
func (c *Config) sharedStores(h *key.Hasher) (list []sharedStore, wrong []error) {
	remote := func(field, value, example string, check func() error, s sharedStore) {
		if value == "" {
			wrong = append(wrong, fmt.Errorf("%s: required, because stores names %s; write for instance %s", field, s.name, example))
		} else if err := check(); err != nil {
			wrong = append(wrong, err)
		}
		list = append(list, s)
	}
	for _, name := range c.Stores {
		switch name {
		case "node":
			list = append(list, c.files(h)...)
		case "postgres":
			remote("postgres.dsn", c.Postgres.DSN, "postgres://reader:PASSWORD@db.internal:5432/kong", c.postgresOptions().Check, c.postgres(h))
		case "admin_api":
			remote("admin_api.url", c.AdminAPI.URL, "https://kong.internal:8444", c.adminAPIOptions().Check, c.adminAPI(h))
		case "redis":
			remote("redis.url", c.Redis.URL, "redis://USER:PASSWORD@redis.internal:6379/0", c.redisOptions().Check, c.redis())
		}
	}
	return list, wrong
}

// files are the node's: the declarative one, then the keys file.
func (c *Config) files(h *key.Hasher) (list []sharedStore) {
	if path := c.gate.path(c.File); path != "" {
		list = append(list, shared("file", func(log *slog.Logger) (store.Store, error) {
			return store.OpenDeclarative(path, h, log), nil
		}, path, c.Pepper, c.PreviousPeppers))
	}
	if path := c.gate.path(c.Snapshot); path != "" {
		list = append(list, shared("snapshot", func(log *slog.Logger) (store.Store, error) {
			return store.OpenJournal(path, h, log), nil
		}, path, c.Pepper, c.PreviousPeppers))
	}
	return list
}

func (c *Config) postgresOptions() store.PostgresOptions {
	return store.PostgresOptions{DSN: c.Postgres.DSN, Workspace: c.Postgres.Workspace, Pool: c.Postgres.Pool, Timeout: millis(c.Postgres.TimeoutMS)}
}

func (c *Config) postgres(h *key.Hasher) sharedStore {
	o := c.postgresOptions()
	cache := c.cache(o.Timeout)
	return shared("postgres", func(log *slog.Logger) (store.Store, error) {
		s, err := store.OpenPostgres(o, h, log)
		if err != nil {
			return nil, err
		}
		return store.NewCache(s, cache), nil
	}, c.Postgres, c.Pepper, c.PreviousPeppers, cache)
}

func (c *Config) adminAPIOptions() store.AdminAPIOptions {
	return store.AdminAPIOptions{
		URL: c.AdminAPI.URL, Token: c.AdminAPI.Token, TokenHeader: c.AdminAPI.TokenHeader,
		Interval: millis(c.AdminAPI.IntervalMS), Timeout: millis(c.AdminAPI.TimeoutMS),
		TLS: store.TLSOptions{CA: c.AdminAPI.CA, Cert: c.AdminAPI.Cert, Key: c.AdminAPI.Key, ServerName: c.AdminAPI.ServerName},
	}
}

// adminAPI holds all keys in memory, so it needs no cache.
func (c *Config) adminAPI(h *key.Hasher) sharedStore {
	o := c.adminAPIOptions()
	return shared("admin_api", func(log *slog.Logger) (store.Store, error) {
		return store.OpenAdminAPI(o, h, log)
	}, c.AdminAPI, c.Pepper, c.PreviousPeppers)
}

func (c *Config) redisOptions() store.RedisOptions {
	return store.RedisOptions{
		URL: c.Redis.URL, Prefix: c.Redis.Prefix, Timeout: millis(c.Redis.TimeoutMS),
		TLS: store.TLSOptions{CA: c.Redis.CA, Cert: c.Redis.Cert, Key: c.Redis.Key, ServerName: c.Redis.ServerName},
	}
}

func (c *Config) redis() sharedStore {
	o := c.redisOptions()
	cache := c.cache(2 * o.Timeout) // for the key, and for its consumer
	return shared("redis", func(log *slog.Logger) (store.Store, error) {
		s, err := store.OpenRedis(o, log)
		if err != nil {
			return nil, err
		}
		return store.NewCache(s, cache), nil
	}, c.Redis, cache)
}

// cache is that of a remote store, which has this long for a lookup.
func (c *Config) cache(timeout time.Duration) store.CacheOptions {
	return store.CacheOptions{
		Size: c.CacheSize, Positive: millis(c.CacheTTLMS), Negative: orNever(c.NegativeTTLMS), Stale: orNever(c.StaleMS), Timeout: timeout,
	}
}
