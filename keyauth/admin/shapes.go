package admin

import (
	"net/netip"

	"kong-go-plugins/keyauth/store"
)

// A consumerShape is a consumer in 3.9.
type consumerShape struct {
	ID        string   `json:"id"`
	Username  *string  `json:"username"`
	CustomID  *string  `json:"custom_id"`
	Tags      []string `json:"tags"`
	CreatedAt *int64   `json:"created_at"`
	UpdatedAt *int64   `json:"updated_at"`
}

type seedConsumerShape struct {
	ID        string `json:"id"`
	Username  string `json:"username,omitempty"`
	CustomID  string `json:"custom_id,omitempty"`
	CreatedAt int64  `json:"created_at,omitempty"` // milliseconds
}

// A credentialShape is a credential in 3.9, with what ours have more. Key is null but in the answer that made it.
type credentialShape struct {
	ID        string         `json:"id"`
	Key       *string        `json:"key"`
	KeyHint   *string        `json:"key_hint"`
	Consumer  referenceShape `json:"consumer"`
	Tags      []string       `json:"tags"`
	TTL       *int64         `json:"ttl"` // seconds that are left
	CreatedAt *int64         `json:"created_at"`
	ExpiresAt *int64         `json:"expires_at"`
	NotBefore *int64         `json:"not_before"`
	Disabled  bool           `json:"disabled"`
	Groups    []string       `json:"groups"`
	Scopes    []string       `json:"scopes"`
	CIDRs     []netip.Prefix `json:"cidrs"`
	LastUsed  *int64         `json:"last_used_at"`
	Rotates   *rotatedShape  `json:"rotates,omitempty"`
}

// A referenceShape names a consumer: by id, or by username where the file has the credential alone.
type referenceShape struct {
	ID       string `json:"id,omitempty"`
	Username string `json:"username,omitempty"`
}

// A rotatedShape is the credential that another one replaces.
type rotatedShape struct {
	ID        string `json:"id"`
	ExpiresAt int64  `json:"expires_at"`
}

type seedCredentialShape struct {
	ID         string         `json:"id"`
	Key        *string        `json:"key"`
	KeyHint    string         `json:"key_hint,omitempty"`
	ConsumerID string         `json:"consumer_id"`
	CreatedAt  int64          `json:"created_at,omitempty"` // milliseconds
	Tags       []string       `json:"tags,omitempty"`
	TTL        int64          `json:"ttl,omitempty"`
	ExpiresAt  int64          `json:"expires_at,omitempty"`
	NotBefore  int64          `json:"not_before,omitempty"`
	Disabled   bool           `json:"disabled,omitempty"`
	Groups     []string       `json:"groups,omitempty"`
	Scopes     []string       `json:"scopes,omitempty"`
	CIDRs      []netip.Prefix `json:"cidrs,omitempty"`
	LastUsed   int64          `json:"last_used_at,omitempty"`
	Rotates    *rotatedShape  `json:"rotates,omitempty"`
}

// orNull is nil for the zero value, which is how the store says that there is none.
func orNull[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

func (a *API) consumerShape(c store.Consumer) any {
	if a.Seed {
		return seedConsumerShape{ID: c.ID, Username: c.Username, CustomID: c.CustomID, CreatedAt: c.CreatedAt * 1000}
	}
	return consumerShape{
		ID: c.ID, Username: orNull(c.Username), CustomID: orNull(c.CustomID), Tags: c.Tags,
		CreatedAt: orNull(c.CreatedAt), UpdatedAt: orNull(c.UpdatedAt),
	}
}

// credentialShape shows a credential; key is what has just been made, or "".
func (a *API) credentialShape(c store.Credential, key string, rotates *rotatedShape) any {
	var ttl int64
	if c.ExpiresAt != 0 {
		ttl = max(c.ExpiresAt-a.now().Unix(), 0)
	}
	if a.Seed {
		return seedCredentialShape{
			ID: c.ID, Key: orNull(key), KeyHint: c.Hint, ConsumerID: consumerID(c), CreatedAt: c.CreatedAt * 1000,
			Tags: c.Tags, TTL: ttl, ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore, Disabled: c.Disabled,
			Groups: c.Groups, Scopes: c.Scopes, CIDRs: c.CIDRs, LastUsed: a.lastUse(c.ID), Rotates: rotates,
		}
	}
	owner := referenceShape{ID: consumerID(c)}
	if c.Consumer.ID == "" && !store.IsUUID(c.ConsumerRef) {
		owner = referenceShape{Username: c.ConsumerRef}
	}
	return credentialShape{
		ID: c.ID, Key: orNull(key), KeyHint: orNull(c.Hint), Consumer: owner, Tags: c.Tags, TTL: orNull(ttl),
		CreatedAt: orNull(c.CreatedAt), ExpiresAt: orNull(c.ExpiresAt), NotBefore: orNull(c.NotBefore), Disabled: c.Disabled,
		Groups: c.Groups, Scopes: c.Scopes, CIDRs: c.CIDRs, LastUsed: orNull(a.lastUse(c.ID)), Rotates: rotates,
	}
}

// lastUse is the Unix time at which a credential was last used, as far as the plugin has noted it.
func (a *API) lastUse(id string) int64 {
	at, err := a.LastUses.Of(id)
	if err != nil {
		a.Log.Warn("when keys were last used is not known", "error", err)
	}
	return at
}

// consumerID is what the credential knows its consumer by.
func consumerID(c store.Credential) string {
	if c.Consumer.ID != "" {
		return c.Consumer.ID
	}
	return c.ConsumerRef
}
