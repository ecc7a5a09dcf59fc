// Package store holds credentials: who owns an API key, searched by the key's digest. Each backend is one file; all pass
// the suite in storetest. A backend says what it has; expiry, not-before and disabled are judged by the caller, so that
// every backend behaves alike.
package store

import (
	"context"
	"errors"
	"net/netip"

	"kong-go-plugins/keyauth/key"
)

// ErrNotFound means that no credential has the key. Every other error of a Store means that it could not answer, which
// must never be taken for "no such key".
var ErrNotFound = errors.New("not found")

// A Store finds the entry that owns a key. Implementations are safe for concurrent use.
type Store interface {
	// Lookup returns the entry of the digest, or ErrNotFound. Its lists are shared: nobody may change them.
	Lookup(ctx context.Context, digest key.Digest) (Entry, error)
	// Close ends what the store runs in the background and waits for it. A closed store is not used again.
	Close() error
}

// A RawStore can only search by the key in clear, because its data is not ours. It is given the digest as well, which
// is what caches know the key by.
type RawStore interface {
	Store
	RawLookup(ctx context.Context, raw []byte, digest key.Digest) (Entry, error)
}

// Find asks s for a key that was presented: raw in clear, and the digests it may be stored under, of which there is
// at least one, in the order to try.
func Find(ctx context.Context, s Store, raw []byte, digests []key.Digest) (Entry, error) {
	if c, ok := s.(Chain); ok {
		return c.Find(ctx, raw, digests)
	}
	if r, ok := s.(RawStore); ok {
		return r.RawLookup(ctx, raw, digests[0])
	}
	for _, d := range digests {
		if e, err := s.Lookup(ctx, d); !errors.Is(err, ErrNotFound) {
			return e, err
		}
	}
	return Entry{}, ErrNotFound
}

// An Entry is a credential as the request path sees it. Times are seconds since 1970; 0 means that there is none.
type Entry struct {
	ID          string // the credential's, a UUID where Kong made it
	Consumer    Consumer
	ConsumerRef string // the consumer's id or username, when the store knows no more; then Consumer is zero
	ExpiresAt   int64  // the key is refused from this second on
	NotBefore   int64  // and before this one
	CreatedAt   int64
	Disabled    bool
	Groups      []string       // for the acl plugin
	Scopes      []string       // what the key may be used for; empty means everything
	CIDRs       []netip.Prefix // where it may be used from; empty means everywhere
	Hint        string         // what may be shown of the key
	Tags        []string
}

// A Consumer is Kong's entity of that name.
type Consumer struct {
	ID        string   `json:"id"`
	Username  string   `json:"username,omitempty"`
	CustomID  string   `json:"custom_id,omitempty"`
	Tags      []string `json:"tags,omitempty"`
	CreatedAt int64    `json:"created_at,omitempty"`
	UpdatedAt int64    `json:"updated_at,omitempty"`
}

// A Credential is an entry with what it is stored under.
type Credential struct {
	Entry
	Hash key.Stored

	// Only who reads keys in clear can say these.
	Weak bool         // the key is so short that it could be guessed from its digest
	Also []key.Digest // what the same key is stored under with another pepper, or without one
}

// A Change names what a store no longer says as before. Zero fields do not apply.
type Change struct {
	Digest     key.Digest // a key was made, changed or removed
	ConsumerID string     // a consumer with this id or username was
	All        bool       // anything may have been
	Missed     bool       // changes may have been missed: what was known counts where the store cannot say more
}

// A Watcher is a store that learns of changes made by others. Notify is called before the store is first used, at most
// once, and starts following; f must return quickly, and is not called after Close.
type Watcher interface {
	Notify(f func(Change))
}

// A Reporter is a store that works in the background. Health returns why it does not do so at the moment, or nil, for
// an operator; such a store answers from what it had before.
type Reporter interface {
	Health() error
}
