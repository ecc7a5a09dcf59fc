package store_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// clear is a store that is searched by the key itself.
type clear struct{ *remote }

func (c clear) Lookup(context.Context, key.Digest) (store.Entry, error) {
	return store.Entry{}, errDown
}

func (c clear) RawLookup(ctx context.Context, raw []byte, _ key.Digest) (store.Entry, error) {
	return c.remote.Lookup(ctx, digest(string(raw)))
}

func TestChain(t *testing.T) {
	t.Parallel()
	first, second := newRemote("a", "both"), newRemote("b")
	second.put("both", store.Entry{ID: "of the second"})
	c := store.Chain{{Name: "first", Store: first}, {Name: "second", Store: store.NewCache(clear{second}, store.CacheOptions{})}}
	find := func(k string) (string, error) {
		e, err := store.Find(t.Context(), c, []byte(k), []key.Digest{digest("pepper" + k), digest(k)})
		if err != nil {
			return "", err
		}
		return e.ID, nil
	}
	for k, want := range map[string]string{"a": "a", "b": "b", "both": "both"} {
		id, err := find(k)
		require.NoError(t, err)
		assert.Equal(t, want, id)
	}
	_, err := find("neither")
	require.ErrorIs(t, err, store.ErrNotFound)

	first.fail(errDown)
	_, err = find("b")
	require.ErrorIs(t, err, errDown, "the first might have it")
	require.ErrorContains(t, err, "store first: ")
	first.fail(nil)
	require.NoError(t, c.Close())
	assert.True(t, first.closed)
	assert.True(t, second.closed)
}
