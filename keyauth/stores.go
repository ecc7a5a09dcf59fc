package keyauth

import (
	"kong-go-plugins/keyauth/store"
)

// storeSettings say where credentials are. Configurations with equal ones share the stores.
type storeSettings struct {
	id          storeID
	order       []string
	credentials []store.Credential
	file        string // path, or ""
	snapshot    string // path, or ""
}

// openers make the stores that the field stores can name; read-only.
var openers = map[string]func(storeSettings) (store.Store, error){
	"node": openNode,
}

// openAll opens the stores in their order.
func (s storeSettings) openAll() (store.Store, error) {
	var chain store.Chain
	for _, name := range s.order {
		opened, err := openers[name](s)
		if err != nil {
			_ = chain.Close()
			return nil, err
		}
		chain = append(chain, store.Named{Name: name, Store: opened})
	}
	return chain, nil
}

// openNode is what every node has: the credentials of the configuration.
func openNode(s storeSettings) (store.Store, error) {
	return store.NewInline(s.credentials)
}
