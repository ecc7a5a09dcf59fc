package store

import (
	"fmt"

	"kong-go-plugins/keyauth/key"
)

// NewInline returns a store of credentials that stand in the plugin's configuration. Errors name the credential by its
// place, from 0, as in credentials[0].
func NewInline(credentials []Credential) (*Snapshot, error) {
	b := NewBuilder(len(credentials))
	places := make(map[key.Digest]int, len(credentials))
	for i, c := range credentials {
		if j, ok := places[c.Hash.Digest]; ok {
			return nil, fmt.Errorf("credentials[%d].digest: it is that of credentials[%d] too; a key has one owner", i, j)
		}
		places[c.Hash.Digest] = i
		if err := b.Put(c.Hash.Digest, c.Entry); err != nil {
			return nil, fmt.Errorf("credentials[%d].%w", i, err)
		}
	}
	return b.Snapshot(), nil
}
