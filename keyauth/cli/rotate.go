package cli

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

type rotate struct {
	grace, expires, prefix string
	byKey                  bool
}

func defineRotate(f *flag.FlagSet) func(*session) error {
	var r rotate
	f.StringVar(&r.grace, "grace", "48h", "how long the old key stays good, a `time` such as 48h or 7d; 0 ends it at once")
	f.StringVar(&r.expires, "expires", "", "`time` at which the new key ends, as with create; needed when the old one has an end")
	f.StringVar(&r.prefix, "prefix", "", "what the new key begins with, a `word`; as the old one when it was made here")
	f.BoolVar(&r.byKey, "key-stdin", false, "of the key on standard input, instead of an ID")
	return r.run
}

// rotated is what the command prints as JSON: the new key, and when the old one ends.
type rotated struct {
	made
	Old          string `json:"old_id"`
	OldExpiresAt int64  `json:"old_expires_at"`
}

// run stores the new key, shows it, and only then limits the old one: whenever it is interrupted, a key that somebody has
// goes on working.
func (r *rotate) run(s *session) error {
	if len(s.ids) > 1 {
		return usagef("one ID at a time")
	}
	span, ok := parseSpan(r.grace)
	if !ok || span < 0 {
		return usagef("-grace %q: it is no time; write for instance 48h, 7d or 0", r.grace)
	}
	now := s.now()
	expires, err := parseExpiry("-expires", r.expires, now)
	if err != nil {
		return err
	}
	hasher, err := s.hasher()
	if err != nil {
		return err
	}
	admin, err := s.open()
	if err != nil {
		return err
	}
	found, err := s.find(admin, r.byKey)
	if err != nil {
		return err
	}
	if len(found) > 1 {
		return fmt.Errorf("the key is stored with several peppers, and would stay good; keyauth keys revoke all of it but %s first", found[0].ID)
	}
	old := found[0]
	switch stateOf(old.Entry, now) {
	case "expired":
		return errors.New("the old key is over already; make another one with keyauth keys create")
	case "disabled":
		return errors.New("the old key is disabled, and the new one would be good; enable it first, or make another one with keyauth keys create")
	}
	if old.ExpiresAt != 0 && r.expires == "" {
		return usagef("-expires: it is missing; the old key ends at %s: say when the new one does, or never", showTime(old.ExpiresAt))
	}
	secret, err := key.New(r.prefixFor(old))
	if err != nil {
		return usageError{fmt.Errorf("-%w", err)}
	}
	next := old
	next.ID, next.CreatedAt, next.ExpiresAt, next.NotBefore = store.NewID(), now.Unix(), expires, 0
	next.Hash, next.Hint = hasher.Hash([]byte(secret)), key.Hint(secret)
	end := endOfGrace(old.ExpiresAt, now.Add(span))
	if err := admin.CreateCredential(s.ctx, next); err != nil {
		return err
	}
	if s.isJSON() {
		err = s.printJSON(rotated{made{secret, viewOf(next, now)}, old.ID, end})
	} else {
		_, err = fmt.Fprintln(s.out, secret)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("the new key could not be shown and was removed again: %w", err), admin.DeleteCredential(s.ctx, next.ID))
	}
	_, err = admin.UpdateCredential(s.ctx, old.ID, func(c *store.Credential) error {
		c.ExpiresAt = endOfGrace(c.ExpiresAt, now.Add(span))
		return nil
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) { // one that somebody has revoked meanwhile is over
		return fmt.Errorf("the new key is good, and the old one still has no other end than before: %w", err)
	}
	s.warnOfLoss()
	s.note("%s: credential %s of %s, %s%s", s.path(), next.ID, visible(consumerName(next)), hintText(next.Hint), endText(next.ExpiresAt))
	if end <= now.Unix() {
		s.note("the old one, %s, has ended", old.ID)
	} else {
		s.note("the old one, %s, is %s", old.ID, endText(end))
	}
	return nil
}

// endOfGrace is when the old key ends: not later than it would have.
func endOfGrace(own int64, grace time.Time) int64 {
	if own != 0 && own < grace.Unix() {
		return own
	}
	return grace.Unix()
}

// prefixFor takes the prefix of the old key, which its hint has.
func (r *rotate) prefixFor(old store.Credential) string {
	if r.prefix != "" {
		return r.prefix
	}
	if prefix, _, ok := strings.Cut(old.Hint, "_..."); ok && key.CheckPrefix(prefix) == nil {
		return prefix
	}
	return key.DefaultPrefix
}
