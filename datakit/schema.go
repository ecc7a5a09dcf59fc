package datakit

import (
	"strings"

	"kong-go-plugins/schema"
)

// Version is the plugin's version for Kong.
const Version = "0.1.0"

// Priority is that of Kong's own Datakit: after authentication and rate limiting, before most transformers.
const Priority = 810

// Limits and defaults of the settings.
const (
	maxNodes        = 64
	maxTimeout      = 2147483646 // ms, the largest that Kong knows
	maxJQ           = 10240      // characters of a program
	defaultBudgetMS = 25_000     // below the 30 s after which the server answers in the plugin's place
	maxBudgetMS     = 55_000     // below the 60 s after which Kong does
	defaultParallel = 16
	defaultMaxBody  = 8 << 20
	maxMaxBody      = 256 << 20
)

// Schema declares the configuration: that of Kong's Datakit 3.15, and limits of this plugin's own. The shape of a node is
// said as far as a control plane takes it; a node's links and its options per type are checked by this plugin.
func Schema() schema.Plugin {
	return schema.Plugin{
		Name: "datakit",
		Fields: []schema.Field{
			{Name: "nodes", Type: schema.JSON, Required: true, JSONSchema: nodesSchema(),
				Description: "The workflow: 1 to 64 nodes, each with a name, a type, links to others, and the options of its type.",
				Doc:         "See the node types below."},
			{Name: "debug", Type: schema.Boolean, Default: false,
				Description: "Errors are told to the client, and a request with the header X-DataKit-Debug-Trace is answered with its trace."},
			{Name: "resources", Type: schema.Record, Optional: true, Fields: []schema.Field{cacheField(), vaultField()},
				Description: "What nodes share: a cache, and values from vaults."},
			{Name: "timeout_ms", Type: schema.Integer, Default: defaultBudgetMS, Between: []float64{1, maxBudgetMS}, Unit: "ms",
				Description: "Time for all nodes of one phase of a request together."},
			{Name: "max_parallel", Type: schema.Integer, Default: defaultParallel, Between: []float64{1, maxNodes},
				Description: "Most calls of one request that run at the same time."},
			{Name: "max_body_bytes", Type: schema.Integer, Default: defaultMaxBody, Between: []float64{1, maxMaxBody}, Unit: "bytes",
				Description: "Largest body that a node reads, and largest result of a jq program."},
			{Name: "header_case", Type: schema.String, Default: "canonical", OneOf: []any{"canonical", "lower"},
				Description: "How header names are written for nodes: as X-Request-Id, or all in lower case."},
		},
	}
}

// noCloudTokens refuses what would need the clouds' own libraries, and machines in their networks to try it on.
const noCloudTokens = "this plugin fetches no tokens of AWS, Azure or Google for Redis; remove cloud_authentication, and give username and password " +
	"of a user of the cache, for instance by a vault reference"

func cacheField() schema.Field {
	text := func(name, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.String, Description: description}
	}
	secret := func(name, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.String, Referenceable: true, Encrypted: true, Description: description}
	}
	flag := func(name string, value bool, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.Boolean, Default: value, Description: description}
	}
	whole := func(name string, value any, low, high float64, unit, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.Integer, Default: value, Between: []float64{low, high}, Unit: unit, Description: description}
	}
	hosts := func(name, host, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.Array, Description: description, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{
			{Name: host, Type: schema.String, Required: true, Default: "127.0.0.1", Description: "Address of the server."},
			whole("port", 6379, 0, 65535, "", "Port of the server."),
		}}}
	}
	return schema.Field{Name: "cache", Type: schema.Record, Optional: true, Description: "Where nodes of type cache keep values.", Fields: []schema.Field{
		{Name: "strategy", Type: schema.String, OneOf: []any{"memory", "redis"}, Required: true, Description: "The kind of the cache."},
		{Name: "memory", Type: schema.Record, Required: true, Fields: []schema.Field{
			{Name: "dictionary_name", Type: schema.String, Default: "kong_db_cache", Required: true, Description: "Name of the store in this process; equal names are one store."},
		}, Description: "The cache in memory."},
		{Name: "redis", Type: schema.Record, Required: true, Description: "The cache in Redis.", Fields: []schema.Field{
			{Name: "host", Type: schema.String, Default: "127.0.0.1", Referenceable: true, Description: "Address of the server."},
			{Name: "port", Type: schema.Integer, Default: 6379, Between: []float64{0, 65535}, Referenceable: true, Description: "Port of the server."},
			whole("connect_timeout", 2000, 0, maxTimeout, "ms", "Time to connect."),
			whole("send_timeout", 2000, 0, maxTimeout, "ms", "Time to send."),
			whole("read_timeout", 2000, 0, maxTimeout, "ms", "Time to wait for an answer."),
			{Name: "username", Type: schema.String, Referenceable: true, Description: "User name; without one there is no AUTH by user."},
			secret("password", "Password of the user, or of the server."),
			{Name: "database", Type: schema.Integer, Default: 0, Description: "Number of the database."},
			flag("ssl", false, "Connects by TLS."),
			flag("ssl_verify", true, "Checks the server's certificate."),
			text("server_name", "Name of the server in TLS."),
			whole("keepalive_pool_size", 256, 1, maxTimeout, "", "Connections that are kept, per process."),
			whole("keepalive_backlog", nil, 0, maxTimeout, "", "Waiters for a connection beyond the pool."),
			text("sentinel_master", "Name of the master that the sentinels watch."),
			{Name: "sentinel_role", Type: schema.String, OneOf: []any{"any", "master", "slave"}, Description: "The server to ask the sentinels for."},
			hosts("sentinel_nodes", "host", "The sentinels."),
			text("sentinel_username", "User name for the sentinels."),
			secret("sentinel_password", "Password for the sentinels."),
			hosts("cluster_nodes", "ip", "Some nodes of the cluster."),
			{Name: "cluster_max_redirections", Type: schema.Integer, Default: 5, Description: "Most redirections of one command in a cluster."},
			flag("connection_is_proxied", false, "The server stands behind a proxy such as Envoy."),
			{Name: "cloud_authentication", Type: schema.Record, Optional: true, Description: "Not available: see auth_provider.", Fields: []schema.Field{
				{Name: "auth_provider", Type: schema.String, Match: "^$", Err: noCloudTokens,
					Description: "Refused, as this plugin fetches no tokens of AWS, Azure or Google; give username and password in its place."},
			}},
			{Name: "timeout", Type: schema.Integer, Description: "Old name of the three timeouts."},
			{Name: "sentinel_addresses", Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Description: "Old name of sentinel_nodes."},
			{Name: "cluster_addresses", Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Description: "Old name of cluster_nodes."},
		}},
	}}
}

func vaultField() schema.Field {
	return schema.Field{Name: "vault", Type: schema.Map, LenMin: new(1), LenMax: new(64),
		Description: "Values of the node vault by name, for instance references such as {vault://env/api-key} or {file:///run/secrets/api-key}.",
		Keys:        &schema.Field{Type: schema.String, Match: "^[%a_][%w_%-]*$", LenMax: new(255)},
		Values:      &schema.Field{Type: schema.String, Referenceable: true, Encrypted: true, LenMax: new(4095), LenMin: new(0)},
	}
}

// nodesSchema is the shape of nodes. It is flat, all types' options in one list, because Kong then names the member that
// is wrong; with one schema per type it only says that none matches. An option that two types have is of one shape.
func nodesSchema() map[string]any {
	properties := map[string]any{}
	for _, name := range sortedKeys(kinds) {
		for _, d := range kinds[name].options {
			properties[d.name] = d.schema()
		}
	}
	for _, d := range commonOptions {
		properties[d.name] = d.schema()
		if d.required {
			properties[d.name].(map[string]any)["type"] = string(d.typ)
		}
	}
	properties["type"] = map[string]any{"enum": anyList(sortedKeys(kinds))}
	return map[string]any{
		"type": "array", "minItems": 1.0, "maxItems": float64(maxNodes),
		"items": map[string]any{
			"type": "object", "required": []any{"name", "type"}, "additionalProperties": false, "properties": properties,
		},
	}
}

// schema is the shape of an option. null is as good as absent: dumps of Kong's have it for whatever is not set.
func (d option) schema() map[string]any {
	name := map[typ]string{mapType: "object", listType: "array"}[d.typ]
	if name == "" {
		name = string(d.typ)
	}
	m := map[string]any{"type": []any{name, "null"}}
	switch {
	case d.oneOf != nil: // an enum would refuse null
		m["pattern"] = "^(" + strings.Join(d.oneOf, "|") + ")$"
	case d.pattern != "":
		m["pattern"] = d.pattern
	case d.typ == stringType && d.max > 0:
		m["maxLength"] = float64(d.max)
	case d.typ == numberType:
		m["minimum"], m["maximum"] = float64(d.min), float64(d.max)
	}
	return m
}

func anyList(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}
