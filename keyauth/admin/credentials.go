package admin

import (
	"errors"
	"strings"

	"kong-go-plugins/keyauth/store"
)

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
	if store.IsUUID(ref) {
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
		credential.ID = store.NewID()
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
			return &store.ConflictError{Entity: "key", Field: "key"} // also when it is stored under an older pepper
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
		if ref := c.params["key"]; store.IsUUID(ref) {
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
