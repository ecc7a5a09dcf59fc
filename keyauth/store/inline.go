package store

import "fmt"

// NewInline returns a store of credentials that stand in the plugin's configuration. Errors name the credential by its
// place, from 0, as in credentials[0].
func NewInline(credentials []Credential) (*Snapshot, error) {
	b := NewBuilder(len(credentials))
	for i, c := range credentials {
		if j, ok := b.s.find(c.Hash.Digest); ok {
			return nil, fmt.Errorf("credentials[%d].digest: it is that of credentials[%d] too; a key has one owner", i, j)
		}
		if err := b.Put(c.Hash.Digest, c.Entry); err != nil {
			return nil, fmt.Errorf("credentials[%d].%w", i, err)
		}
	}
	return b.Snapshot(), nil
}
