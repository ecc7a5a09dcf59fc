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

// owner returns the consumer of the path, or "" where the path names none.
func (c *call) owner() (id string, err error) {
	ref, has := c.params["consumer"]
	if !has {
		return "", nil
	}
	consumer, err := c.findConsumer(ref)
	return consumer.ID, err
}

// find returns the credential that the path names by id or by key: one that has not expired, and is owner's if that is
// not empty.
func (c *call) find(owner string) (store.Credential, error) {
	ref := c.params["key"]
	credential, err := c.lookup(ref)
	if err == nil && !c.has(credential, owner) {
		err = store.ErrNotFound
	}
	return credential, err
}

// has reports whether a credential is visible below the owner of the path.
func (c *call) has(credential store.Credential, owner string) bool {
	return !c.expired(credential) && (owner == "" || consumerID(credential) == owner)
}

func (c *call) expired(credential store.Credential) bool {
	return credential.ExpiresAt != 0 && credential.ExpiresAt <= c.now().Unix()
}

func (c *call) lookup(ref string) (store.Credential, error) {
	if isUUID(ref) {
		credential, err := c.Store.Credential(c.ctx, strings.ToLower(ref))
		if !c.Seed || !errors.Is(err, store.ErrNotFound) {
			return credential, err
		}
	}
	for _, digest := range c.Hasher.Digests([]byte(ref)) {
		credential, err := c.Store.CredentialByDigest(c.ctx, digest)
		if !errors.Is(err, store.ErrNotFound) {
			return credential, err
		}
	}
	return c.Store.Credential(c.ctx, ref) // an imported credential may have any id
}

func listCredentials(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	q, err := c.listQuery()
	if err != nil {
		return answer{}, err
	}
	only := "" // the id of the only one that can be meant
	if c.query.Has("key") {
		credential, err := c.lookup(c.query.Get("key"))
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return answer{}, err
		}
		only = credential.ID
	}
	match := func(credential store.Credential) bool {
		return !c.expired(credential) && (q.tags == nil || q.tags(credential.Tags)) && c.query.fits("id", credential.ID) &&
			c.query.fits("consumer_id", consumerID(credential)) && (!c.query.Has("key") || credential.ID == only)
	}
	search := store.CredentialQuery{ConsumerID: owner, Size: q.size, Offset: q.offset, Match: match}
	page, next, err := c.Store.Credentials(c.ctx, search)
	if err != nil {
		return answer{}, err
	}
	data := make([]any, len(page))
	for i, credential := range page {
		data[i] = c.credentialShape(credential, "", nil)
	}
	var total *int
	if q.total {
		total = new(int)
		search.Offset, search.Size = "", 1
		search.Match = func(credential store.Credential) bool {
			if match(credential) {
				*total++
			}
			return false
		}
		if _, _, err := c.Store.Credentials(c.ctx, search); err != nil {
			return answer{}, err
		}
	}
	if ref, has := c.params["consumer"]; has {
		return ok(c.list(data, next, total, consumerPath(ref), nil))
	}
	return ok(c.list(data, next, total, "/key-auths", c.query.Values))
}

// newCredential makes what a body describes. presetID and presetKey come from the path, as does owner; any may be empty.
func (c *call) newCredential(in credentialInput, owner, presetID, presetKey string) (credential store.Credential, raw string, err error) {
	now := c.now().Unix()
	if owner == "" && in.consumer.value == (reference{}) && c.in.wrong["consumer"] == nil {
		c.in.wrong["consumer"] = "required field missing"
	}
	credential = store.Credential{Entry: store.Entry{ID: in.id.value, CreatedAt: now}}
	in.apply(&credential, now)
	if err := c.checkTimes(credential); err != nil {
		return credential, "", err
	}
	credential.Consumer.ID = owner
	if owner == "" {
		if credential.Consumer, err = c.resolve(in.consumer.value); err != nil {
			return credential, "", err
		}
	}
	switch {
	case presetID != "":
		credential.ID = presetID
	case credential.ID == "":
		credential.ID = newUUID()
	}
	switch {
	case presetKey != "":
		raw = presetKey
	case in.key.value != "":
		raw = in.key.value
	default:
		if raw, err = c.makeKey(); err != nil {
			return credential, "", err
		}
	}
	c.setKey(&credential, raw)
	return credential, raw, nil
}

// create puts a new credential into the file. An expired one that has its key gives way, as nobody can see it any more.
func (c *call) create(credential store.Credential, raw string) error {
	for _, digest := range c.Hasher.Digests([]byte(raw)) {
		other, err := c.Store.CredentialByDigest(c.ctx, digest)
		switch {
		case errors.Is(err, store.ErrNotFound):
			continue
		case err != nil:
			return err
		case !c.expired(other):
			return unique("key", hidden) // also when it is stored under an older pepper
		}
		if err := c.purge(c.ctx, c.now().Unix()+1); err != nil {
			return err
		}
	}
	return c.Store.CreateCredential(c.ctx, credential)
}

func createCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	credential, raw, err := c.newCredential(c.credentialInput(), owner, "", "")
	if err != nil {
		return answer{}, err
	}
	if err := c.create(credential, raw); err != nil {
		return answer{}, err
	}
	return answer{201, c.credentialShape(credential, raw, nil)}, c.recordCredential("create", credential)
}

func getCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	credential, err := c.find(owner)
	if err != nil {
		return answer{}, err
	}
	return ok(c.credentialShape(credential, "", nil))
}

func patchCredential(c *call) (answer, error) {
	if c.Seed && len(c.in.values) == 0 {
		return answer{}, message(400, "empty body")
	}
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	in := c.credentialInput()
	if err := c.in.err(); err != nil {
		return answer{}, err
	}
	credential, err := c.find(owner)
	if errors.Is(err, store.ErrNotFound) && owner == "" {
		if ref := c.params["key"]; isUUID(ref) {
			return answer{}, notFoundBy("id", ref)
		}
		return answer{}, notFoundBy("key", hidden)
	}
	if err != nil {
		return answer{}, err
	}
	return c.updateCredential(credential, in, owner)
}

// updateCredential changes what was found, unless it is another one by now.
func (c *call) updateCredential(found store.Credential, in credentialInput, owner string) (answer, error) {
	if in.id.value != "" && in.id.value != found.ID {
		return answer{}, violations(map[string]any{"id": "immutable field cannot be updated"})
	}
	var consumer store.Consumer
	if in.consumer.given {
		if in.consumer.value == (reference{}) {
			return answer{}, violations(map[string]any{"consumer": "required field missing"})
		}
		var err error
		if consumer, err = c.resolve(in.consumer.value); err != nil {
			return answer{}, err
		}
	}
	if in.key.value != "" {
		if err := c.keyIsFree(in.key.value, found.ID); err != nil {
			return answer{}, err
		}
	}
	credential, err := c.Store.UpdateCredential(c.ctx, found.ID, func(credential *store.Credential) error {
		if credential.Hash != found.Hash || !c.has(*credential, owner) {
			return store.ErrNotFound
		}
		in.apply(credential, c.now().Unix())
		if consumer.ID != "" {
			credential.Consumer, credential.ConsumerRef = consumer, ""
		}
		if in.key.value != "" {
			c.setKey(credential, in.key.value)
		}
		return c.checkTimes(*credential)
	})
	if err != nil {
		return answer{}, err
	}
	return answer{200, c.credentialShape(credential, in.key.value, nil)}, c.recordCredential("update", credential)
}

// keyIsFree wants that no credential but the one of this id has the key, under whatever pepper.
func (c *call) keyIsFree(raw, id string) error {
	for _, digest := range c.Hasher.Digests([]byte(raw)) {
		other, err := c.Store.CredentialByDigest(c.ctx, digest)
		switch {
		case errors.Is(err, store.ErrNotFound), err == nil && other.ID == id:
		case err != nil:
			return err
		default:
			return unique("key", hidden)
		}
	}
	return nil
}

// putCredential replaces a credential, or makes one of the id or key in the path. It does not ask whose the credential was.
func putCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	ref, in := c.params["key"], c.credentialInput()
	if isUUID(ref) {
		return c.putCredential(in, owner, strings.ToLower(ref), "")
	}
	if _, wrong := readText(ref, maxKey); wrong != nil {
		c.in.wrong["key"] = wrong
	}
	return c.putCredential(in, owner, "", ref)
}

func (c *call) putCredential(in credentialInput, owner, id, presetKey string) (answer, error) {
	for {
		fresh, raw, err := c.newCredential(in, owner, id, presetKey)
		if err != nil {
			return answer{}, err
		}
		var found store.Credential
		if id != "" {
			found, err = c.Store.Credential(c.ctx, id)
		} else {
			found, err = c.lookup(presetKey)
		}
		if errors.Is(err, store.ErrNotFound) {
			err := c.create(fresh, raw)
			var conflict *store.ConflictError
			if errors.As(err, &conflict) && (id != "") == (conflict.Field == "id") {
				continue // somebody has made it meanwhile
			}
			if err != nil {
				return answer{}, err
			}
			return answer{200, c.credentialShape(fresh, raw, nil)}, c.recordCredential("create", fresh)
		}
		if err != nil {
			return answer{}, err
		}
		if in.id.value != "" && in.id.value != found.ID {
			return answer{}, violations(map[string]any{"id": "immutable field cannot be updated"})
		}
		if err := c.keyIsFree(raw, found.ID); err != nil {
			return answer{}, err
		}
		credential, err := c.Store.UpdateCredential(c.ctx, found.ID, func(credential *store.Credential) error {
			if id == "" && credential.Hash != found.Hash {
				return errMoved
			}
			born := credential.CreatedAt
			*credential = fresh
			if in.born.value == 0 && !c.expired(found) {
				credential.CreatedAt = born
			}
			return nil
		})
		if errors.Is(err, store.ErrNotFound) || errors.Is(err, errMoved) {
			continue
		}
		if err != nil {
			return answer{}, err
		}
		if presetKey != "" {
			raw = "" // it was there before
		}
		return answer{200, c.credentialShape(credential, raw, nil)}, c.recordCredential("replace", credential)
	}
}

// errMoved means that a key belongs to another credential than a moment ago.
var errMoved = errors.New("the key has moved")

// putCredentials is PUT on the collection, which Kong 0.x has: without an id in the body it creates.
func putCredentials(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	in := c.credentialInput()
	if in.id.value == "" {
		return createCredential(c)
	}
	credential, err := c.Store.Credential(c.ctx, in.id.value)
	if err == nil && !c.has(credential, owner) {
		err = store.ErrNotFound
	}
	if err != nil {
		return answer{}, err
	}
	return c.putCredential(in, owner, in.id.value, "")
}

func deleteCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	credential, err := c.find(owner)
	if err == nil {
		err = c.Store.DeleteCredential(c.ctx, credential.ID)
	}
	if errors.Is(err, store.ErrNotFound) && owner == "" {
		return noContent()
	}
	if err != nil {
		return answer{}, err
	}
	return answer{204, nil}, c.recordCredential("delete", credential)
}

// consumerOf finds the consumer of the credential in the path and makes it that of the path.
func (c *call) consumerOf() error {
	credential, err := c.find("")
	if err != nil {
		return err
	}
	if credential.Consumer.ID == "" {
		return store.ErrNotFound // the file does not have it
	}
	c.params["consumer"] = credential.Consumer.ID
	return nil
}

func getConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return getConsumer(c)
}

func putConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return putConsumer(c)
}

func patchConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return patchConsumer(c)
}

// deleteConsumerOf is refused, as in Kong: a consumer is removed by its own address.
func deleteConsumerOf(c *call) (answer, error) {
	if err := c.consumerOf(); err != nil {
		return answer{}, err
	}
	return answer{}, message(405, "Method not allowed")
}
