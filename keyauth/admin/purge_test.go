package admin

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What expired is removed a day later, with nobody asking.
func TestPurge(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"id":"aaaaaaaa-0000-4000-8000-000000000001","key":"short","ttl":10}`).Code)
	require.Equal(t, 201, a.send("POST", "/consumers/alice/key-auth", `{"key":"long"}`).Code)
	path := a.path
	synctest.Test(t, func(t *testing.T) {
		a := New(Options{Store: reopen(t, path), Hasher: a.Hasher, Audit: a.Audit, Log: a.Log})
		begin := time.Now()
		a.now = func() time.Time { return time.Unix(1_700_000_000, 0).Add(time.Since(begin)) }
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.purgeAlways(ctx)
		synctest.Wait()
		stored := func() bool {
			_, err := a.Store.Credential(ctx, "aaaaaaaa-0000-4000-8000-000000000001")
			return err == nil
		}
		assert.True(t, stored())
		time.Sleep(24*time.Hour - time.Minute)
		synctest.Wait()
		assert.True(t, stored())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		assert.False(t, stored())
	})
	assert.Equal(t, 200, a.send("GET", "/key-auths/long", "").Code)
}

// Who chooses a short key is told.
func TestWeakKey(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	require.Equal(t, 201, a.send("POST", "/consumers", `{"username":"alice"}`).Code)
	assert.Contains(t, a.send("POST", "/consumers/alice/key-auth", `{"key":"short"}`).Header().Get("Warning"), `299 keyauth "the key has 5 characters`)
	assert.Empty(t, a.send("POST", "/consumers/alice/key-auth", `{"key":"0123456789abcdefghijkl"}`).Header().Get("Warning"))
}
