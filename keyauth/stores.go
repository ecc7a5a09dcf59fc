package keyauth

import (
	"log/slog"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// storeSettings say where credentials are. Configurations with equal ones share the stores.
type storeSettings struct {
	id          storeID
	order       []string
	credentials []store.Credential
	file        string // path, or ""
	snapshot    string // path, or ""
	hasher      *key.Hasher
	postgres    store.PostgresOptions
	cache       store.CacheOptions // of remote stores
}

// openers make the stores that the field stores can name; read-only.
var openers = map[string]func(s storeSettings, log *slog.Logger) (store.Store, error){
	"node":     openNode,
	"postgres": openPostgres,
}

// open opens the stores in their order.
func (s storeSettings) open(log *slog.Logger) (store.Store, error) {
	var chain store.Chain
	for _, name := range s.order {
		opened, err := openers[name](s, log)
		if err != nil {
			_ = chain.Close()
			return nil, err
		}
		if inner, ok := opened.(store.Chain); ok {
			chain = append(chain, inner...)
		} else {
			chain = append(chain, store.Named{Name: name, Store: opened})
		}
	}
	return chain, nil
}

// openNode is what every node has without more: the credentials of the configuration, and its files.
func openNode(s storeSettings, log *slog.Logger) (store.Store, error) {
	inline, err := store.NewInline(s.credentials)
	if err != nil {
		return nil, err
	}
	chain := store.Chain{{Name: "credentials", Store: inline}}
	if s.file != "" {
		chain = append(chain, store.Named{Name: "file", Store: store.OpenDeclarative(s.file, s.hasher, log)})
	}
	if s.snapshot != "" {
		chain = append(chain, store.Named{Name: "snapshot", Store: store.OpenJournal(s.snapshot, log)})
	}
	return chain, nil
}

// openPostgres is the database of a Kong.
func openPostgres(s storeSettings, log *slog.Logger) (store.Store, error) {
	p, err := store.OpenPostgres(s.postgres, s.hasher, log)
	if err != nil {
		return nil, err
	}
	return store.NewCache(p, s.cache), nil
}
