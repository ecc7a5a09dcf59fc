package keyauth

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
)

func newTestGate(t testing.TB) *Gate {
	t.Helper()
	g := NewGate(func(cause, text string) { t.Logf("report: %s: %s", cause, text) })
	t.Cleanup(func() { _ = g.Close(t.Context()) })
	return g
}

// configOf reads a configuration as Kong sends it.
func configOf(t testing.TB, json string) *Config {
	t.Helper()
	c := New(newTestGate(t))
	require.NoError(t, c.UnmarshalJSON([]byte(json)))
	return c
}

func TestSchemaFitsConfig(t *testing.T) {
	require.NoError(t, Schema().Check())
	require.NoError(t, Schema().CheckStruct(New(newTestGate(t))))
	lua, err := Schema().Lua("keyauth")
	require.NoError(t, err)
	assert.Less(t, len(lua), 8192)
}

// The defaults of the first fields are those of Kong's key-auth 3.9.
func TestDefaults(t *testing.T) {
	c := configOf(t, `{"__seq__":5,"route_id":"x"}`)
	c.gate, c.resolve = nil, nil
	assert.Equal(t, &Config{
		KeyNames: []string{"apikey"}, KeyInHeader: true, KeyInQuery: true, RunOnPreflight: true,
		Stores: []string{"node"}, Credentials: []Credential{}, Snapshot: "<kong-prefix>/keyauth/keys.jsonl", KeyPrefixes: []string{}, PreviousPeppers: []string{},
		Postgres: Postgres{Workspace: "default", Pool: 8, TimeoutMS: 3000}, AdminAPI: AdminAPI{TokenHeader: "Kong-Admin-Token", IntervalMS: 10000, TimeoutMS: 60000}, Redis: Redis{Prefix: "keyauth:", TimeoutMS: 1000}, CacheTTLMS: 60000, CacheSize: 100000, NegativeTTLMS: 5000, StaleMS: 30000, Throttle: Throttle{WindowS: 60, PauseS: 60}, MaxBodyBytes: 1 << 20, Compat: "3.9",
	}, c)
	c2 := New(newTestGate(t))
	s, err := c2.check()
	require.NoError(t, err)
	assert.Equal(t, []keyName{{"apikey", "apikey", "http_apikey", []string{"apikey"}}}, s.names)
	assert.Equal(t, "/usr/local/kong/keyauth/keys.jsonl", c2.gate.path(c2.Snapshot))
	assert.Equal(t, times{time.Minute, 5 * time.Second, 30 * time.Second}, s.consumers)
}

// A configuration of the first version of Kong's key-auth, whose unset texts are empty.
func TestOldConfiguration(t *testing.T) {
	require.NoError(t, configOf(t, `{"key_names":["apikey"],"key_in_body":false,"hide_credentials":false,"anonymous":"","run_on_preflight":true}`).Check())
}

func TestBadSettings(t *testing.T) {
	digest, pepper := digestOf(t, "k"), "a pepper of 16 bytes"
	peppered, err := key.NewHasher(pepper)
	require.NoError(t, err)
	credential := func(rest string) string {
		return `{"credentials":[{"digest":"` + digest + `","consumer":"bob",` + rest + `}]}`
	}
	for config, want := range map[string][]string{
		`{"key_names":["api key"]}`:  {"key_names[0]: bad header name, allowed characters are A-Z, a-z, 0-9, '_', and '-'"},
		`{"key_names":["ok",""]}`:    {"key_names[1]"},
		`{"key_names":"apikey"}`:     {"key_names: expected an array"},
		`{"key_prefixes":["a","_"]}`: {`key_prefixes[1]: "_" is not usable`},
		`{"file":"kong.yml"}`:        {`file: "kong.yml" depends on the folder that Kong runs in; write the whole path`},
		`{"snapshot":"k/keys"}`:      {`snapshot: "k/keys" depends on the folder`},
		`{"header_scheme":"B x"}`:    {"header_scheme: must be one word"},
		`{"consumer_id":"x"}`:        {"consumer: a key says who the consumer is"},
		`{"realm":"a\u0007b"}`:       {"realm: holds a control character"},
		`{"stores":[]}`:              {"stores"},
		`{"stores":["node","node"]}`: {"stores[1]: node is listed twice"},
		`{"stores":["nodes"]}`:       {"stores[0]: expected one of: node"},
		`{"stores":["postgres"]}`:    {"postgres.dsn: required, because stores names postgres"},

		`{"credentials":[{"consumer":"bob"}]}`:                                                        {"credentials[0].digest: required field missing"},
		`{"credentials":[{"digest":"` + digest + `"}]}`:                                               {"credentials[0].consumer: required field missing"},
		`{"credentials":[{"digest":"topsecret","consumer":"bob"}]}`:                                   {"credentials[0].digest: must be sha256::DIGEST"},
		`{"credentials":[{"digest":"sha256::topsecret","consumer":"bob"}]}`:                           {"credentials[0].digest: the digest is not 43 characters"},
		`{"credentials":[{"digest":"` + peppered.Hash([]byte("k")).String() + `","consumer":"bob"}]}`: {"pepper: credentials[0].digest is made with pepper ", ", which is neither this one nor one of previous_peppers"},
		credential(`"id":"x"`):                        {"credentials[0].id: expected a valid UUID"},
		credential(`"cidrs":["10.0.0.0/8","10.0.0"]`): {`credentials[0].cidrs[1]: "10.0.0" is no address or network`},
		credential(`"scopes":["get"]`):                {`credentials[0].scopes[0]: "get" is no scope; write method:GET`},
		credential(`"scopes":["route:"]`):             {`credentials[0].scopes[0]: "route:" names no route`},
		`{"pepper":"short"}`:                          {"pepper: length must be at least 16"},
		`{"previous_peppers":["` + pepper + `"]}`:     {"pepper: it is missing, though there are previous_peppers"},
		`{"stores":["admin_api"]}`:                    {"admin_api.url: required, because stores names admin_api"},
		`{"stores":["postgres"],"postgres":{"dsn":"host=x"},"credentials":[{"digest":"` + digest + `","consumer":"bob"}]}`: {"credentials: not looked at, because stores does not name node"},
		`{"credentials":[{"digest":"` + digest + `","consumer":"bob"},{"digest":"` + digest + `","consumer":"ann"}]}`:      {"credentials[1].digest: it is that of credentials[0] too"},
		`{"stores":["redis"]}`:                   {"redis.url: required, because stores names redis"},
		`{"redis":{"url":"http://topsecret@x"}}`: {"redis.url: must start with rediss:// or redis://"},
		`{"stores":["postgres"],"postgres":{"dsn":"https://u:topsecret@db/kong?a=b"}}`:               {"postgres.dsn: must be postgres://"},
		`{"stores":["postgres"],"postgres":{"dsn":"topsecret"}}`:                                     {"postgres.dsn: must be postgres://"},
		`{"stores":["postgres"],"postgres":{"dsn":"postgres://u:topsecret@db:port/kong"}}`:           {"postgres.dsn: it cannot be read: invalid port; write special characters of the password in percent form"},
		`{"stores":["postgres"],"postgres":{"dsn":"host=db connect_timeout=topsecret"}}`:             {"postgres.dsn: it cannot be read: invalid connect_timeout; write"},
		`{"stores":["admin_api"],"admin_api":{"url":"http://u:topsecret@h:po rt"}}`:                  {"admin_api.url: want an address such as"},
		`{"stores":["admin_api"],"admin_api":{"url":"https://h","key":"topsecret"}}`:                 {"admin_api.cert: it is missing, though there is a key"},
		`{"stores":["admin_api"],"admin_api":{"url":"https://h","key":"/k.pem","cert":"topsecret"}}`: {"admin_api.cert: it is neither PEM text nor the path of a file"},
		`{"stores":["redis"],"redis":{"url":"redis://u:topsecret@h:port"}}`:                          {"redis.url: it cannot be read; write special characters of the password in percent form"},
		`{"stores":["redis"],"redis":{"url":"redis://h1,h2"}}`:                                       {"redis.url: it names several servers"},
		`{"stores":["redis"],"redis":{"url":"redis://h","ca":"/ca.pem"}}`:                            {"redis.url: there are certificates, but the address is without TLS"},
		`{"admin_api":{"url":"ftp://x"}}`:                                                            {"admin_api.url: must start with https:// or http://"},
		`{"compat":"1.0"}`:                                                                           {"compat: expected one of: 3.9, 2.8, 0.x"},
	} {
		c := configOf(t, config)
		err := c.Check()
		require.Error(t, err, config)
		for _, text := range want {
			assert.ErrorContains(t, err, text, config)
		}
		assert.NotContains(t, err.Error(), "topsecret")
		assert.NotContains(t, err.Error(), strings.TrimPrefix(digest, "sha256::"))
	}
}

func TestSpellings(t *testing.T) {
	assert.ElementsMatch(t, []string{"x-api-key", "x_api-key", "x-api_key", "x_api_key"}, newKeyName("X-Api-Key").spellings)
	assert.ElementsMatch(t, []string{"api_key", "api-key"}, newKeyName("api_key").spellings)
	assert.Nil(t, newKeyName("a-b-c-d").spellings, "too many to clear each")
	assert.Equal(t, "http_x_api_key", newKeyName("X-Api_Key").variable)
}

// Only realms at Konnect are worth a warning, and a configuration that looks for no key.
func TestWarnings(t *testing.T) {
	for config, want := range map[string]int{`{}`: 0, `{"key_in_header":false,"key_in_query":false}`: 1, `{"key_in_header":false}`: 0, `{"identity_realms":[{"scope":"cp"}]}`: 0, `{"identity_realms":[{"scope":"realm","id":"11111111-1111-4111-8111-111111111111","region":"eu"},{}]}`: 1} {
		s, err := configOf(t, config).check()
		require.NoError(t, err)
		assert.Len(t, s.warnings, want, config)
	}
}

// What only this machine lacks, or Kong will fill in, is no mistake in a configuration.
func TestSettingsOfOtherMachines(t *testing.T) {
	for _, config := range []string{
		"stores: [postgres]\npostgres: {dsn: 'postgres://u@db/kong?sslmode=verify-full&sslrootcert=/not/here.pem'}",
		"stores: [postgres]\npostgres: {dsn: '{vault://env/kong-dsn}'}",
		"stores: [admin_api]\nadmin_api: {url: 'https://kong:8444', token: '{vault://env/token}', ca: /not/here.pem, cert: /not/here.pem, key: /not/here.pem}",
		"stores: [redis]\nredis: {url: 'rediss+sentinel://a,b/main', ca: /not/here.pem}",
		"stores: [redis]\nredis: {url: '{vault://env/redis}'}",
		"pepper: '{vault://env/pepper}'\nprevious_peppers: ['{vault://env/old}']\ncredentials: [{consumer: bob, digest: 'hmac-sha256:0a1b2c3d:IgjolwJFMZg1Nq6U0mm0OpKMVDXccnM0mUuUgKQsirU'}]",
	} {
		problems := Schema().ValidateFile("keyauth", "config.yml", []byte(config), func(json []byte) error {
			c := New(newTestGate(t))
			require.NoError(t, c.UnmarshalJSON(json))
			return c.Check()
		})
		assert.Empty(t, problems, config)
	}
}

// Whether a pepper that is a reference made a digest cannot be known before it is resolved: that is said, and refuses nothing.
func TestDigestsOfUnknownPeppers(t *testing.T) {
	const digest = "credentials: [{consumer: bob, digest: 'hmac-sha256:0a1b2c3d:IgjolwJFMZg1Nq6U0mm0OpKMVDXccnM0mUuUgKQsirU'}]\n"
	for config, warning := range map[string]bool{
		digest + "pepper: a pepper of 16 bytes\nprevious_peppers: ['{vault://env/old}']":                          true,
		digest + "pepper: a pepper of 16 bytes\nprevious_peppers: [another pepper of 16 b, '${{ env \"OLD\" }}']": true,
		digest + "pepper: a pepper of 16 bytes\nprevious_peppers: [another pepper of 16 b]":                       false,
	} {
		problems := Schema().ValidateFile("keyauth", "config.yml", []byte(config), func(json []byte) error {
			c := New(newTestGate(t))
			require.NoError(t, c.UnmarshalJSON(json))
			return c.Check()
		})
		require.Len(t, problems, 1, config)
		assert.Equal(t, warning, problems[0].Warning, problems[0])
		assert.Equal(t, "pepper", problems[0].Field)
		assert.Equal(t, warning, strings.Contains(problems[0].Text, "not certain, because previous_peppers is known only when"), problems[0])
	}
}
