package admin

import (
	"errors"
	"net/netip"
	"strings"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// A credentialInput is what a body says of a credential.
type credentialInput struct {
	id, key                    optional[string]
	consumer                   optional[reference]
	tags, groups, scopes       optional[[]string]
	cidrs                      optional[[]netip.Prefix]
	ttl                        optional[int64] // seconds from now; 0 is for ever
	expiresAt, notBefore, born optional[int64]
	disabled                   optional[bool]
}

// credentialInput reads the body. owner, where the path names one, is the consumer of a new credential.
func (c *call) credentialInput() credentialInput {
	in := credentialInput{
		id: c.in.uuid("id"), key: c.in.text("key", maxKey), tags: set(c.in, "tags", readTag), groups: set(c.in, "groups", readName),
		scopes: set(c.in, "scopes", readScope), cidrs: set(c.in, "cidrs", readNetwork), ttl: c.in.ttl(),
		expiresAt: c.in.timestamp("expires_at", 1), notBefore: c.in.timestamp("not_before", 1), born: c.createdAt(),
		disabled: c.in.boolean("disabled"), consumer: c.in.consumer(),
	}
	if c.Seed {
		if id := c.in.text("consumer_id", maxText); id.given {
			in.consumer = optional[reference]{true, reference{id: strings.ToLower(id.value)}}
		}
	}
	switch {
	case in.ttl.given && in.expiresAt.given:
		c.in.wrong["expires_at"] = "cannot be given together with ttl"
	case in.expiresAt.value != 0 && in.expiresAt.value <= c.now().Unix():
		c.in.wrong["expires_at"] = "must be later than now; DELETE revokes a key"
	}
	return in
}

// apply sets what was given, but for the id, the key and the consumer.
func (in credentialInput) apply(c *store.Credential, now int64) {
	in.tags.apply(&c.Tags)
	in.groups.apply(&c.Groups)
	in.scopes.apply(&c.Scopes)
	in.cidrs.apply(&c.CIDRs)
	in.disabled.apply(&c.Disabled)
	in.notBefore.apply(&c.NotBefore)
	in.expiresAt.apply(&c.ExpiresAt)
	if in.born.value != 0 {
		c.CreatedAt = in.born.value
	}
	if in.ttl.given {
		c.ExpiresAt = 0
		if in.ttl.value != 0 {
			c.ExpiresAt = now + in.ttl.value
		}
	}
}

// checkTimes wants a time at which the key is good.
func (c *call) checkTimes(credential store.Credential) error {
	if credential.ExpiresAt != 0 && credential.NotBefore >= credential.ExpiresAt {
		c.in.wrong["not_before"] = "must be before the key expires"
	}
	return c.in.err()
}

// setKey makes raw the key of a credential, and warns of one that could be guessed.
func (c *call) setKey(credential *store.Credential, raw string) {
	credential.Hash, credential.Hint = c.Hasher.Hash([]byte(raw)), key.Hint(raw)
	if credential.Hash.Algorithm == key.SHA256 {
		c.warning = key.Weakness(raw)
	}
}

// resolve returns the consumer that a body names.
func (c *call) resolve(r reference) (store.Consumer, error) {
	ref := r.id
	if ref == "" {
		ref = r.username
	}
	consumer, err := c.Store.Consumer(c.ctx, ref)
	switch {
	case errors.Is(err, store.ErrNotFound) && r.id == "":
		return consumer, unresolved(ref)
	case errors.Is(err, store.ErrNotFound), err == nil && r.id != "" && consumer.ID != r.id:
		return consumer, noSuchConsumer(ref)
	case err == nil && r.id == "" && consumer.Username != r.username:
		return consumer, unresolved(ref) // an id in the place of a username
	}
	return consumer, err
}
