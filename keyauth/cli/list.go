package cli

import (
	"cmp"
	"errors"
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"

	"kong-go-plugins/keyauth/store"
)

type list struct{ consumer, tag, state string }

func defineList(f *flag.FlagSet) func(*session) error {
	var l list
	f.StringVar(&l.consumer, "consumer", "", "only of the consumer with this id or `username`")
	f.StringVar(&l.tag, "tag", "", "only with this `tag`")
	f.StringVar(&l.state, "state", "", "only keys whose `state` is this: valid, expired, disabled or \"not yet valid\"")
	return l.run
}

var states = []string{"", "valid", "expired", "disabled", "not yet valid"} // read-only

func (l *list) run(s *session) error {
	if !slices.Contains(states, l.state) {
		return usagef("-state %q: want valid, expired, disabled or \"not yet valid\"", l.state)
	}
	admin, err := s.open()
	if err != nil {
		return err
	}
	views := []view{}
	now := s.now()
	err = each(s.ctx, admin, store.CredentialQuery{}, func(c store.Credential) {
		v := viewOf(c, now)
		if isOf(c, l.consumer) && (l.tag == "" || slices.Contains(c.Tags, l.tag)) && (l.state == "" || v.State == l.state) {
			views = append(views, v)
		}
	})
	if err != nil {
		return err
	}
	s.addLastUses(views)
	slices.SortStableFunc(views, func(a, b view) int {
		return cmp.Or(cmp.Compare(a.Consumer, b.Consumer), cmp.Compare(a.CreatedAt, b.CreatedAt))
	})
	if s.isJSON() {
		return s.printJSON(views)
	}
	if len(views) == 0 {
		if _, err := os.Stat(s.path()); errors.Is(err, fs.ErrNotExist) {
			s.note("%s does not exist yet; keyauth keys create makes it", s.path())
			return nil
		}
		s.note("%s: no such keys", s.path())
		return nil
	}
	rows := [][]string{{"CONSUMER", "KEY", "STATE", "EXPIRES", "LAST USED", "ID"}}
	for _, v := range views {
		rows = append(rows, []string{v.Consumer, orDash(v.Hint), v.State, showTime(v.ExpiresAt), showUse(v.LastUsedAt), v.ID})
	}
	return printTable(s.out, rows)
}

// addLastUses adds what the plugin has noted beside the keys file.
func (s *session) addLastUses(views []view) {
	uses := store.OpenLastUses(s.path())
	for i := range views {
		at, err := uses.Of(views[i].ID)
		if err != nil {
			s.note("when the keys were last used is not known: %v", err)
			return
		}
		views[i].LastUsedAt = at
	}
}

// showUse is when a key was last used; 0 is not known.
func showUse(at int64) string {
	if at == 0 {
		return "-"
	}
	return showTime(at)
}

// isOf reports whether a credential is of the consumer with this id or username; "" is everyone.
func isOf(c store.Credential, consumer string) bool {
	return consumer == "" || consumer == c.Consumer.ID || consumer == c.Consumer.Username || consumer == c.ConsumerRef
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func defineShow(f *flag.FlagSet) func(*session) error {
	byKey := f.Bool("key-stdin", false, "show the owner of the key on standard input")
	return func(s *session) error {
		if len(s.ids) > 1 {
			return usagef("one ID at a time")
		}
		admin, err := s.open()
		if err != nil {
			return err
		}
		found, err := s.find(admin, *byKey)
		if err != nil {
			return err
		}
		views := []view{viewOf(found[0], s.now())}
		s.addLastUses(views)
		v := views[0]
		if s.isJSON() {
			return s.printJSON(v)
		}
		rows := [][]string{{"id", v.ID}, {"consumer", v.Consumer}}
		add := func(name, value string) {
			if value != "" {
				rows = append(rows, []string{name, value})
			}
		}
		if v.ConsumerID != v.Consumer {
			add("consumer id", v.ConsumerID)
		}
		add("key", orDash(v.Hint))
		add("state", v.State)
		if v.CreatedAt != 0 {
			add("created", showTime(v.CreatedAt))
		}
		if v.NotBefore != 0 {
			add("not before", showTime(v.NotBefore))
		}
		add("expires", showTime(v.ExpiresAt))
		add("last used", showUse(v.LastUsedAt))
		add("groups", strings.Join(v.Groups, ", "))
		add("scopes", strings.Join(v.Scopes, ", "))
		add("cidrs", strings.Join(v.CIDRs, ", "))
		add("tags", strings.Join(v.Tags, ", "))
		add("hash", v.Hash)
		return printTable(s.out, rows)
	}
}
