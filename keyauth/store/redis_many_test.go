package store_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/redistest"
	"kong-go-plugins/keyauth/store"
)

// In a cluster, keys are spread over nodes, and changes come through whichever one is asked.
func TestRedisCluster(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t)
	for user, rights := range map[string]string{"reader": "+get +subscribe +unsubscribe +ping", "writer": "+get +set +del +scan +publish +ping"} {
		for _, n := range nodes {
			args := []any{"ACL", "SETUSER", user, "on", ">p@ss", "resetchannels", "~keyauth:*", "&keyauth:changes", "+cluster|slots", "+cluster|shards"}
			for right := range strings.SplitSeq(rights, " ") {
				args = append(args, right)
			}
			require.NoError(t, n.Client(t).Do(t.Context(), args...).Err())
		}
	}
	writer := redisStore(t, store.RedisOptions{URL: "redis+cluster://writer:p%40ss@" + nodes[0].Addr()})
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	var told atomic.Int64
	reader := redisStore(t, store.RedisOptions{URL: "redis+cluster://reader:p%40ss@" + nodes[1].Addr() + "," + nodes[2].Addr()})
	c := store.NewCache(notified{reader, &told}, store.CacheOptions{Positive: time.Hour, Negative: time.Hour, Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() > 0 }, time.Minute, time.Millisecond)

	names := strings.Split("abcdefghijklmnopqrst", "")
	var all []store.Credential
	alice := store.Consumer{ID: "c1", Username: "alice"}
	for _, k := range names {
		credential := credential("id-"+k, k)
		credential.Consumer = alice
		all = append(all, credential)
		require.False(t, has(c, k))
	}
	assert.Equal(t, store.Mirrored{Written: len(all) + 1}, mirror(t, writer, []store.Consumer{alice}, all))
	for _, k := range names {
		require.Eventually(t, func() bool { return has(c, k) && lookup(t, c, k).Consumer.Username == "alice" }, time.Minute, time.Millisecond)
	}
	assert.Equal(t, store.Mirrored{Removed: len(all) - 1}, mirror(t, writer, []store.Consumer{alice}, all[:1]))
	for _, k := range names[1:] {
		require.Eventually(t, func() bool { return !has(c, k) }, time.Minute, time.Millisecond)
	}
	assert.True(t, has(c, names[0]))
	require.NoError(t, reader.Health())
}

// The master dies, and the sentinels make its replica the master: keys go on being found, and changes being followed.
func TestRedisSentinel(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", "127.0.0.1", strings.Split(master.Addr(), ":")[1])
	sentinel := redistest.StartSentinel(t, "keys", master)
	o := store.RedisOptions{URL: "redis+sentinel://" + sentinel.Addr() + "/keys"}
	writer := redisStore(t, o)
	t.Cleanup(func() { assert.NoError(t, writer.Close()) })
	mirror(t, writer, nil, []store.Credential{credential("1", "a")})
	var told atomic.Int64
	reader := redisStore(t, o)
	c := store.NewCache(notified{reader, &told}, store.CacheOptions{Timeout: patience})
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
	require.Eventually(t, func() bool { return told.Load() > 0 }, time.Minute, time.Millisecond)
	require.True(t, has(c, "a"))

	ask := replica.Client(t)
	require.Eventually(t, func() bool { return ask.DBSize(t.Context()).Val() == 1 }, time.Minute, time.Millisecond, "the replica has it")
	watch := sentinel.Client(t)
	require.Eventually(t, func() bool {
		known, err := watch.Do(t.Context(), "SENTINEL", "REPLICAS", "keys").Slice()
		return err == nil && len(known) == 1
	}, time.Minute, time.Millisecond, "the sentinel knows the replica")
	master.Kill()
	require.Eventually(t, func() bool {
		_, err := writer.Mirror(t.Context(), nil, []store.Credential{credential("1", "a"), credential("2", "b")}, false)
		return err == nil
	}, 4*time.Minute, 20*time.Millisecond, "the replica is the master now")
	require.Eventually(t, func() bool { return has(c, "a") && has(c, "b") && reader.Health() == nil }, time.Minute, time.Millisecond)
}
