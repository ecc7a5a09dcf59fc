package keyauth

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"log/slog"

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

// sharedStores are the stores that the configuration names, in order. Those of the node are its files; its credentials
// are the configuration's own, in front of all that follow.
func (c *Config) sharedStores(h *key.Hasher) (list []sharedStore, err error) {
	var wrong []error
	for _, name := range c.Stores {
		switch name {
		case "node":
			list = append(list, c.files(h)...)
		case "postgres":
			if c.Postgres.DSN == "" {
				wrong = append(wrong, errors.New("postgres.dsn: required, because stores names postgres; write for instance postgres://reader:PASSWORD@db.internal:5432/kong"))
			}
			list = append(list, c.postgres(h))
		case "admin_api":
			if c.AdminAPI.URL == "" {
				wrong = append(wrong, errors.New("admin_api.url: required, because stores names admin_api; write for instance https://kong.internal:8444"))
			}
			list = append(list, c.adminAPI(h))
		case "redis":
			if c.Redis.URL == "" {
				wrong = append(wrong, errors.New("redis.url: required, because stores names redis; write for instance redis://USER:PASSWORD@redis.internal:6379/0"))
			}
			list = append(list, c.redis())
		}
	}
	return list, errors.Join(wrong...)
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

func (c *Config) postgres(h *key.Hasher) sharedStore {
	o := store.PostgresOptions{DSN: c.Postgres.DSN, Workspace: c.Postgres.Workspace, Pool: c.Postgres.Pool, Timeout: millis(c.Postgres.TimeoutMS)}
	cache := c.cache()
	return shared("postgres", func(log *slog.Logger) (store.Store, error) {
		s, err := store.OpenPostgres(o, h, log)
		if err != nil {
			return nil, err
		}
		return store.NewCache(s, cache), nil
	}, c.Postgres, c.Pepper, c.PreviousPeppers, cache)
}

// adminAPI holds all keys in memory, so it needs no cache.
func (c *Config) adminAPI(h *key.Hasher) sharedStore {
	o := store.AdminAPIOptions{
		URL: c.AdminAPI.URL, Token: c.AdminAPI.Token, TokenHeader: c.AdminAPI.TokenHeader,
		Interval: millis(c.AdminAPI.IntervalMS), Timeout: millis(c.AdminAPI.TimeoutMS),
		TLS: store.TLSOptions{CA: c.AdminAPI.CA, Cert: c.AdminAPI.Cert, Key: c.AdminAPI.Key, ServerName: c.AdminAPI.ServerName},
	}
	return shared("admin_api", func(log *slog.Logger) (store.Store, error) {
		return store.OpenAdminAPI(o, h, log)
	}, c.AdminAPI, c.Pepper, c.PreviousPeppers)
}

func (c *Config) redis() sharedStore {
	o := store.RedisOptions{
		URL: c.Redis.URL, Prefix: c.Redis.Prefix, Timeout: millis(c.Redis.TimeoutMS),
		TLS: store.TLSOptions{CA: c.Redis.CA, Cert: c.Redis.Cert, Key: c.Redis.Key, ServerName: c.Redis.ServerName},
	}
	cache := c.cache()
	return shared("redis", func(log *slog.Logger) (store.Store, error) {
		s, err := store.OpenRedis(o, log)
		if err != nil {
			return nil, err
		}
		return store.NewCache(s, cache), nil
	}, c.Redis, cache)
}

// cache is that of remote stores.
func (c *Config) cache() store.CacheOptions {
	return store.CacheOptions{
		Size: c.CacheSize, Positive: millis(c.CacheTTLMS), Negative: orNever(c.NegativeTTLMS), Stale: orNever(c.StaleMS),
	}
}
