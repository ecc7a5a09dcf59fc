package admin

import (
	"errors"
	"strings"

	"kong-go-plugins/keyauth/store"
)

// putCredential replaces a credential, or makes one of the id or key in the path. It does not ask whose the credential was.
func putCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	ref, in := c.params["key"], c.credentialInput()
	if store.IsUUID(ref) {
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
