package cli

import (
	"context"
	"flag"

	"kong-go-plugins/keyauth/store"
)

// A verdict changes what a key is good for, and returns what it is then; done says what became of it.
type verdict struct {
	done  string
	apply func(ctx context.Context, admin store.Admin, c store.Credential) (store.Credential, error)
}

func setDisabled(disabled bool) func(context.Context, store.Admin, store.Credential) (store.Credential, error) {
	return func(ctx context.Context, admin store.Admin, c store.Credential) (store.Credential, error) {
		return admin.UpdateCredential(ctx, c.ID, func(c *store.Credential) error {
			c.Disabled = disabled
			return nil
		})
	}
}

func remove(ctx context.Context, admin store.Admin, c store.Credential) (store.Credential, error) {
	return c, admin.DeleteCredential(ctx, c.ID)
}

func defineRevoke(f *flag.FlagSet) func(*session) error {
	return verdict{"revoked", remove}.define(f)
}

func defineDisable(f *flag.FlagSet) func(*session) error {
	return verdict{"disabled", setDisabled(true)}.define(f)
}

func defineEnable(f *flag.FlagSet) func(*session) error {
	return verdict{"enabled", setDisabled(false)}.define(f)
}

func (v verdict) define(f *flag.FlagSet) func(*session) error {
	byKey := f.Bool("key-stdin", false, "of the key on standard input, instead of an ID")
	return func(s *session) error {
		admin, err := s.open()
		if err != nil {
			return err
		}
		found, err := s.find(admin, *byKey)
		if err != nil {
			return err
		}
		views := []view{}
		for _, c := range found {
			if c, err = v.apply(s.ctx, admin, c); err != nil {
				return err
			}
			views = append(views, viewOf(c, s.now()))
		}
		if s.isJSON() {
			return s.printJSON(map[string]any{v.done: views})
		}
		rows := [][]string{}
		for _, c := range views {
			rows = append(rows, []string{v.done, c.ID, c.Consumer, orDash(c.Hint)})
		}
		return printTable(s.out, rows)
	}
}
