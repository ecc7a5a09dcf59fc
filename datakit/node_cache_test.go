package datakit

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const memory = `resources: {cache: {strategy: memory}}`

// outputs runs the access phase and returns what a jq node OUT has made.
func outputs(t testing.TB, p *Plan, h *testHost) (any, *NodeError) {
	t.Helper()
	o := p.Access(t.Context(), h, true)
	for _, e := range o.Trace.Events() {
		if e.Name == "OUT" && e.Action == "complete" {
			return e.Value.Value, o.Failure
		}
	}
	return nil, o.Failure
}

func TestCache(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, memory+`
nodes:
- {name: K, type: static, values: {key: 7, data: {n: 1.50, list: [null, true]}}}
- {name: FIRST, type: cache, inputs: {key: K.key}}
- {name: DATA, type: jq, jq: ".data", inputs: {data: K.data, after: FIRST}}
- {name: SET, type: cache, inputs: {key: K.key, data: DATA, ttl: TTL}}
- {name: TTL, type: jq, jq: "\"60\""}
- {name: KEY, type: jq, jq: "\"7\"", input: SET}
- {name: SECOND, type: cache, inputs: {key: KEY}}
- {name: OUT, type: jq, jq: "[.a, .b, .c]", inputs: {a: FIRST, b: SET, c: SECOND}}`)
	v, failure := outputs(t, p, &testHost{})
	require.Nil(t, failure)
	text, err := encodeJSON(v)
	require.NoError(t, err)
	assert.JSONEq(t, `[
		{"hit":false,"miss":true,"stored":false,"data":null},
		{"hit":false,"miss":false,"stored":true,"data":{"n":1.5,"list":[null,true]}},
		{"hit":true,"miss":false,"stored":false,"data":{"n":1.5,"list":[null,true]}}]`, string(text))
}

func TestCacheFailures(t *testing.T) {
	t.Parallel()
	const redis = `resources: {cache: {strategy: redis, redis: {host: 127.0.0.1, port: 1, connect_timeout: 60000}}}`
	for name, c := range map[string]struct{ config, want, failure string }{
		"no key":               {memory + "\nnodes:\n- {name: A, type: cache, inputs: {key: request.query.none}}", "", "key: is empty or null"},
		"no time":              {memory + "\nnodes:\n- {name: A, type: cache, inputs: {key: S.k, data: S.k, ttl: S.t}}\n- {name: S, type: static, values: {k: a, t: 0}}", "", "ttl: expected seconds above 0"},
		"Redis is away":        {redis + "\nnodes:\n- {name: A, type: cache, inputs: {key: S.k}}\n- {name: S, type: static, values: {k: a}}", "", "127.0.0.1"},
		"goes on without, GET": {redis + "\nnodes:\n- {name: A, type: cache, bypass_on_error: true, inputs: {key: S.k}}\n- {name: S, type: static, values: {k: a}}\n- {name: OUT, type: jq, jq: '.', input: A}", `{"hit":false,"miss":true,"stored":false,"data":null}`, ""},
		"goes on without, SET": {redis + "\nnodes:\n- {name: A, type: cache, bypass_on_error: true, inputs: {key: S.k, data: S.k}}\n- {name: S, type: static, values: {k: a}}\n- {name: OUT, type: jq, jq: '.', input: A}", `{"hit":false,"miss":false,"stored":false,"data":"a"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, failure := outputs(t, mustCompile(t, c.config), &testHost{})
			if c.failure != "" {
				require.NotNil(t, failure)
				assert.Contains(t, failure.Error(), c.failure)
				return
			}
			require.Nil(t, failure)
			text, err := encodeJSON(v)
			require.NoError(t, err)
			assert.JSONEq(t, c.want, string(text))
		})
	}
}

func TestCacheConfig(t *testing.T) {
	t.Parallel()
	for config, want := range map[string]string{
		"nodes:\n- {name: A, type: cache, inputs: {key: S.k}}\n- {name: S, type: static, values: {k: a}}":                                    "nodes[0].type (A): a node of type cache needs resources.cache, which says where values are kept",
		memory + "\nnodes:\n- {name: A, type: cache, ttl: 0, inputs: {key: request.method}}":                                                 "nodes[0].ttl (A): 0 is not a whole number from 1 to 3162240000",
		memory + "\nnodes:\n- {name: A, type: cache}":                                                                                        "nodes[0].inputs.key (A): required for a node of type cache",
		"resources: {cache: {strategy: redis, redis: {sentinel_master: m}}}\nnodes:\n- {name: A, type: jq, jq: '.'}":                         "resources.cache.redis: sentinel_master, sentinel_role and sentinel_nodes go together: give all three, or none",
		"resources: {cache: {strategy: redis, redis: {cloud_authentication: {auth_provider: aws}}}}\nnodes:\n- {name: A, type: jq, jq: '.'}": "resources.cache.redis.cloud_authentication.auth_provider: this plugin fetches no tokens of AWS, Azure or Google for Redis; remove cloud_authentication, and give username and password of a user of the cache, for instance by a vault reference",
		"resources: {cache: {strategy: disk}}\nnodes:\n- {name: A, type: jq, jq: '.'}":                                                       "resources.cache.strategy: expected one of: memory, redis",
		"resources: {cache: {strategy: redis, redis: {cluster_addresses: [here]}}}\nnodes:\n- {name: A, type: jq, jq: '.'}":                  `resources.cache.redis.cluster_addresses: "here" is not host:port`,
	} {
		_, err := compileText(t, config)
		require.Error(t, err, config)
		assert.Equal(t, want, err.Error())
	}
	mustCompile(t, "resources: {}\nnodes:\n- {name: A, type: jq, jq: '.'}")
}

func TestRedisOptions(t *testing.T) {
	t.Parallel()
	old := 700
	r := RedisCache{Host: "::1", Port: 6380, ConnectTimeout: 1, Timeout: &old, SSL: true, ServerName: "redis.internal"}
	o := r.options()
	assert.Equal(t, []string{"[::1]:6380"}, o.Addresses)
	assert.EqualValues(t, 700e6, o.ConnectTimeout)
	assert.Equal(t, "redis.internal", o.TLS.ServerName)
	assert.True(t, o.TLS.InsecureSkipVerify)
	r = RedisCache{SentinelMaster: "m", SentinelRole: "any", SentinelNodes: []RedisHost{{"a", 1}, {"b", 2}}}
	o = r.options()
	assert.Equal(t, []string{"a:1", "b:2"}, o.Addresses)
	assert.Equal(t, []any{"m", "any", false}, []any{o.Master, o.Role, o.Cluster})
	r = RedisCache{ClusterNodes: []RedisIP{{"127.0.0.1", 7000}}, ClusterAddresses: []string{"127.0.0.1:7001"}}
	o = r.options()
	assert.Equal(t, []string{"127.0.0.1:7000", "127.0.0.1:7001"}, o.Addresses)
	assert.True(t, o.Cluster)
}
