package store

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseRedisURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		addresses, master, user, password, sentinelPassword string
		db                                                  int
		cluster, tls                                        bool
	}{
		"redis://h":                                        {addresses: "h:6379"},
		"redis://h/":                                       {addresses: "h:6379"},
		"rediss://u:p%40s:s@h:1/3":                         {addresses: "h:1", user: "u", password: "p@s:s", db: 3, tls: true},
		"redis://:p%2Fs@[::1]:6380":                        {addresses: "[::1]:6380", password: "p/s"},
		"redis+cluster://u:p@a,b:7000,[fd00::1]":           {addresses: "a:6379 b:7000 [fd00::1]:6379", user: "u", password: "p", cluster: true},
		"rediss+sentinel://u:p@a,b:7/main/2":               {addresses: "a:26379 b:7", master: "main", user: "u", password: "p", db: 2, tls: true},
		"redis+sentinel://a/my%20m?sentinel_password=s%26": {addresses: "a:26379", master: "my m", sentinelPassword: "s&"},
	} {
		o, err := parseRedisURL(text)
		require.NoError(t, err, text)
		assert.Equal(t, want.addresses, strings.Join(o.Addrs, " "), text)
		assert.Equal(t, want.master, o.MasterName, text)
		assert.Equal(t, want.user, o.Username, text)
		assert.Equal(t, want.password, o.Password, text)
		assert.Equal(t, want.sentinelPassword, o.SentinelPassword, text)
		assert.Equal(t, want.db, o.DB, text)
		assert.Equal(t, want.cluster, o.IsClusterMode, text)
		assert.Equal(t, want.tls, o.TLSConfig != nil, text)
	}
}

func TestRedisOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		o    RedisOptions
		want string
	}{
		{RedisOptions{}, "redis.url: want redis://"},
		{RedisOptions{URL: "http://u:secret@h"}, "redis.url: want redis://"},
		{RedisOptions{URL: "redis+proxy://u:secret@h"}, "redis.url: want redis://"},
		{RedisOptions{URL: "redis://u:secret@h:x"}, "redis.url: it cannot be read; write special characters of the password in percent form"},
		{RedisOptions{URL: "redis://u:sec@secret@h"}, "redis.url: it cannot be read"},
		{RedisOptions{URL: "redis://u:sec/secret@h"}, "redis.url: it cannot be read"},
		{RedisOptions{URL: "redis://u:secret%zz@h"}, "redis.url: it cannot be read"},
		{RedisOptions{URL: "redis://secret@"}, "redis.url: it cannot be read"},
		{RedisOptions{URL: "redis://h:65536"}, "redis.url: it cannot be read"},
		{RedisOptions{URL: "redis://u:1/secret"}, "redis.url: behind the last / should be the number of a database"},
		{RedisOptions{URL: "redis://h/1/secret"}, "redis.url: behind the last / should be"},
		{RedisOptions{URL: "redis://h?protocol=secret"}, "redis.url: it has parameters that are not known"},
		{RedisOptions{URL: "redis://h,i"}, "redis.url: it names several servers"},
		{RedisOptions{URL: "redis+sentinel://h"}, "redis.url: the name of the master is missing"},
		{RedisOptions{URL: "redis+sentinel://h/main/secret"}, "redis.url: behind the last /"},
		{RedisOptions{URL: "redis+cluster://h/1"}, "redis.url: a cluster has one database only"},
		{RedisOptions{URL: "redis://h", TLS: TLSOptions{CA: "x"}}, "redis.url: there are certificates, but the address is without TLS; write rediss://"},
		{RedisOptions{URL: "rediss://h", TLS: TLSOptions{CA: "secret"}}, "redis.ca: it is neither PEM text nor"},
	} {
		err := c.o.Check()
		require.ErrorContains(t, err, c.want, c.o.URL)
		assert.NotContains(t, err.Error(), "secret")
		_, err = OpenRedis(c.o, nil)
		require.ErrorContains(t, err, c.want, c.o.URL)
	}
}

// Whatever a password is made of, it is read as it was written; what cannot be read is not shown.
func FuzzParseRedisURL(f *testing.F) {
	f.Add("redis://h:1/2", "user", "pass:@/?#%word")
	f.Add("redis+sentinel://a,b:2/main/1?sentinel_username=x", "", "secret")
	f.Add("rediss+cluster://[::1]:7,b", "ü", "\x00")
	f.Fuzz(func(t *testing.T, text, user, password string) {
		o, err := parseRedisURL(text)
		if err != nil {
			for _, fixed := range []string{"redis://USER:PASSWORD@HOST:6379/0", "redis+sentinel://HOST:26379/MASTER", "%40 for @"} {
				if strings.Contains(err.Error(), fixed) {
					return
				}
			}
			assert.Regexp(t, `^(behind the last /|a cluster has|it has parameters|it names several)`, err.Error())
			return
		}
		require.NotEmpty(t, o.Addrs)
		scheme, rest, _ := strings.Cut(text, "://")
		if i := strings.IndexAny(rest, "/?#"); strings.Contains(rest, "@") || i >= 0 && strings.Contains(rest[i:], "@") {
			return // it has a user of its own
		}
		percent := func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
		with, err := parseRedisURL(scheme + "://" + percent(user) + ":" + percent(password) + "@" + rest)
		require.NoError(t, err)
		assert.Equal(t, user, with.Username)
		assert.Equal(t, password, with.Password)
		assert.Equal(t, o.Addrs, with.Addrs)
	})
}
