package store

import (
	"context"
	"errors"
	"fmt"

	"kong-go-plugins/keyauth/key"
)

// A Chain asks its stores in order; the first that has the key decides. When one cannot answer, the chain cannot:
// a later store might have an entry that the earlier one replaces.
type Chain []Named

// A Named is a store with the name that the configuration has for it.
type Named struct {
	Name  string
	Store Store
}

// Lookup asks by digest; stores that need the key in clear cannot answer.
func (c Chain) Lookup(ctx context.Context, d key.Digest) (Entry, error) {
	return c.first(func(s Store) (Entry, error) { return s.Lookup(ctx, d) })
}

// Find is what the function Find does, for each store in order.
func (c Chain) Find(ctx context.Context, raw []byte, digests []key.Digest) (Entry, error) {
	return c.first(func(s Store) (Entry, error) { return Find(ctx, s, raw, digests) })
}

func (c Chain) first(ask func(Store) (Entry, error)) (Entry, error) {
	for _, s := range c {
		e, err := ask(s.Store)
		if err == nil {
			return e, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return Entry{}, fmt.Errorf("store %s: %w", s.Name, err)
		}
	}
	return Entry{}, ErrNotFound
}

// Close closes all stores.
func (c Chain) Close() error {
	var errs []error
	for _, s := range c {
		if err := s.Store.Close(); err != nil {
			errs = append(errs, fmt.Errorf("store %s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}
