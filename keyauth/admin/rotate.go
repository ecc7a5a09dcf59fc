package admin

import (
	"errors"
	"reflect"
	"time"

	"kong-go-plugins/keyauth/store"
)

// defaultGrace is how long a rotated key goes on working when the request does not say.
const defaultGrace = 24 * time.Hour

// rotateCredential gives a credential's owner a new key with the same rights. The old one expires after the grace time, or when
// it would have expired anyway.
func rotateCredential(c *call) (answer, error) {
	owner, err := c.owner()
	if err != nil {
		return answer{}, err
	}
	grace, err := c.query.grace()
	if err != nil {
		return answer{}, err
	}
	in := c.credentialInput()
	if in.consumer.given {
		c.in.wrong["consumer"] = "stays the same"
	}
	if err := c.in.err(); err != nil {
		return answer{}, err
	}
	for {
		old, err := c.find(owner)
		if err != nil {
			return answer{}, err
		}
		fresh, raw, err := c.successor(old, in)
		if err != nil {
			return answer{}, err
		}
		end := c.now().Add(grace).Unix()
		if old.ExpiresAt != 0 {
			end = min(end, old.ExpiresAt)
		}
		// The new one first: whatever happens in between, the old one does not end without it.
		if err := c.create(fresh, raw); err != nil {
			return answer{}, err
		}
		_, err = c.Store.UpdateCredential(c.ctx, old.ID, func(now *store.Credential) error {
			if !reflect.DeepEqual(*now, old) {
				return errMoved
			}
			now.ExpiresAt = end
			return nil
		})
		if err == nil {
			shape := c.credentialShape(fresh, raw, &rotatedShape{ID: old.ID, ExpiresAt: end})
			return answer{201, shape}, c.recordAll(
				c.event("create", credentialEntity, fresh.ID, consumerID(fresh), c.in.names()),
				c.event("rotate", credentialEntity, old.ID, consumerID(old), []string{"expires_at"}))
		}
		if undo := c.Store.DeleteCredential(c.ctx, fresh.ID); undo != nil {
			return answer{}, errors.Join(err, undo)
		}
		if !errors.Is(err, errMoved) {
			return answer{}, err
		}
	}
}

// successor has what old has, what the body says besides, and another key. How long it lasts must be said when the old one
// does not last for ever: it may have been rotated already.
func (c *call) successor(old store.Credential, in credentialInput) (fresh store.Credential, raw string, err error) {
	if old.ExpiresAt != 0 && !in.ttl.given && !in.expiresAt.given {
		return fresh, "", violations(map[string]any{"ttl": "required, because the old key expires; 0 is for ever"})
	}
	fresh = old
	fresh.ID, fresh.CreatedAt = in.id.value, c.now().Unix()
	if fresh.ID == "" {
		fresh.ID = store.NewID()
	}
	in.apply(&fresh, c.now().Unix())
	if err := c.checkTimes(fresh); err != nil {
		return fresh, "", err
	}
	if raw = in.key.value; raw == "" {
		if raw, err = c.makeKey(); err != nil {
			return fresh, "", err
		}
	}
	c.setKey(&fresh, raw)
	return fresh, raw, nil
}

// grace reads for instance 48h.
func (q query) grace() (time.Duration, error) {
	if !q.Has("grace") {
		return defaultGrace, nil
	}
	d, err := time.ParseDuration(q.Get("grace"))
	if err != nil || d < 0 || d > maxTTL*time.Second {
		return 0, badOption("grace", "must be a time such as 48h or 30m, at most 27777h")
	}
	return d, nil
}
