package keyauth

import "kong-go-plugins/schema"

// Version is the plugin's version for Kong.
const Version = "0.1.0"

// Priority is that of Kong's key-auth from 3.0 on: after jwt and oauth2, before basic-auth, acl and rate-limiting.
const Priority = 1250

// Limits of the settings.
const (
	maxBodyLimit = 100 << 20
	maxEpoch     = 253402300799 // the last second of the year 9999
)

// badName is the text of Kong for a name that no header can have, without the name, which a declaration cannot say.
const badName = "bad header name, allowed characters are A-Z, a-z, 0-9, '_', and '-'"

// Schema declares the configuration. The first fields are those of Kong's key-auth 3.9, by name, type and default, so
// that its configurations load unchanged; identity_realms is one of a later version. No scope is
// forbidden here, because control planes would learn of it in no other way than by a refused configuration: one for a
// consumer is answered as a wrong one.
func Schema() schema.Plugin {
	return schema.Plugin{
		Name: "keyauth",
		Fields: []schema.Field{
			{Name: "key_names", Type: schema.Array, Required: true, Default: []string{"apikey"},
				Elements:    &schema.Field{Type: schema.String, Match: "^[%w_%-]+$", Err: badName},
				Description: "Names under which the key is looked for, in this order: of headers, query arguments and body members."},
			toggle("key_in_header", true, "Looks for the key in the request's headers."),
			toggle("key_in_query", true, "Looks for the key in the query."),
			toggle("key_in_body", false, "Looks for the key in bodies of forms, of JSON and of multipart/form-data."),
			{Name: "header_scheme", Type: schema.String, Match: "^[%w%-]+$", Err: "must be one word, for instance Bearer",
				Description: "Word that may stand before the key in a header and is no part of it: Bearer, for Authorization: Bearer KEY.",
				Doc:         "A header without it counts as it is."},
			toggle("hide_credentials", false, "Takes the key out of the request before the upstream gets it."),
			{Name: "anonymous", Type: schema.String, LenMin: new(0),
				Description: "Id or username of the consumer that a request without a valid key counts as; unset refuses such requests.",
				Doc:         "An empty text counts as unset."},
			toggle("run_on_preflight", true, "Wants a key for OPTIONS requests, too."),
			{Name: "realm", Type: schema.String, Description: "Realm in the header WWW-Authenticate of refusals."},
			{Name: "identity_realms", Type: schema.Array, Elements: &schema.Field{Type: schema.Record, Fields: []schema.Field{
				{Name: "scope", Type: schema.String, OneOf: []any{"cp", "realm"}, Default: "cp", Description: "Where the credentials are: here, or at Konnect."},
				{Name: "id", Type: schema.String, UUID: true, Description: "Id of a realm at Konnect."},
				{Name: "region", Type: schema.String, Description: "Region of a realm at Konnect."},
			}}, Description: "Accepted for configurations of Konnect: a realm there is warned of and not asked."},

			{Name: "stores", Type: schema.Array, Required: true, Default: []string{"node"}, LenMin: new(1),
				Elements:    &schema.Field{Type: schema.String, OneOf: []any{"node", "postgres", "admin_api", "redis"}},
				Description: "Where keys are looked up, in this order; the first store that knows a key decides.",
				Doc:         "`node` is `credentials`, then `file`, then `snapshot`. `postgres` is the database of a Kong, whose Admin API makes the keys; `admin_api` is that API itself; `redis` holds keys that many nodes share."},
			{Name: "credentials", Type: schema.Array, Default: []any{}, Elements: &schema.Field{Type: schema.Record, Fields: credentialFields()},
				Description: "Credentials in the configuration itself, for up to some thousand keys: Kong brings them to every node."},
			{Name: "file", Type: schema.String, Description: "Path of a file in Kong's declarative format whose consumers' keyauth_credentials count; read again when it changes.",
				Doc: "`<kong-prefix>` at its start stands for the flag -kong-prefix."},
			{Name: "snapshot", Type: schema.String, LenMin: new(0), Default: defaultSnapshot,
				Description: "Path of the node's own credential file, one JSON object per line; an empty text is none.",
				Doc:         "`<kong-prefix>` at its start stands for the flag -kong-prefix. The file need not exist."},
			{Name: "key_prefixes", Type: schema.Array, Default: []any{}, Elements: &schema.Field{Type: schema.String},
				Description: "Prefixes that only keys made by keyauth begin with: one that begins so and has a wrong checksum is refused without being looked up."},
			{Name: "pepper", Type: schema.String, Referenceable: true, Encrypted: true, LenMin: new(minPepper),
				Description: "Secret that keys are hashed with, besides SHA-256: without it a stolen digest of a short key can be guessed."},
			{Name: "previous_peppers", Type: schema.Array, Default: []any{},
				Elements:    &schema.Field{Type: schema.String, Referenceable: true, Encrypted: true, LenMin: new(minPepper)},
				Description: "Peppers whose digests still count, newest first."},
			{Name: "postgres", Type: schema.Record, Fields: []schema.Field{
				{Name: "dsn", Type: schema.String, Referenceable: true, Encrypted: true, MatchAny: &schema.Patterns{
					Patterns: []string{"^postgres://", "^postgresql://", "^%s*[%w_%.]+%s*="},
					Err:      "must be postgres://USER:PASSWORD@HOST:5432/DATABASE, or pairs such as host=HOST user=USER",
				}, Description: "URL of Kong's database, or key=value pairs, as libpq takes them: postgres://reader:PASSWORD@db.internal:5432/kong"},
				{Name: "workspace", Type: schema.String, Default: "default", Description: "Kong's workspace whose keys count."},
				integer("pool", "connections", 8, 1, 1000, "Connections to the database at most, for each plugin process."),
				integer("timeout_ms", "ms", 3000, 100, 60000, "Longest time to connect, and for one query."),
			}, Description: "Kong's own database, read only, for the store postgres."},
			{Name: "admin_api", Type: schema.Record, Fields: append([]schema.Field{
				{Name: "url", Type: schema.String, Match: "^https?://[^/]", Err: "must start with https:// or http:// and name a host, for instance https://kong.internal:8444",
					Description: "Address of Kong's Admin API, with the workspace's path if it is not the default one: https://kong.internal:8444"},
				{Name: "token", Type: schema.String, Referenceable: true, Encrypted: true, Description: "Token that is sent with each request."},
				{Name: "token_header", Type: schema.String, Default: "Kong-Admin-Token", Description: "Header of the token; with Authorization it is sent as a bearer's, as Konnect wants it."},
				integer("interval_ms", "ms", 10000, 1000, 3600000, "Time between two readings of all keys and consumers."),
				integer("timeout_ms", "ms", 60000, 1000, 600000, "Longest time for one reading, all its pages together."),
			}, tlsFields()...), Description: "Kong's Admin API, read in the background, for the store admin_api."},
			{Name: "redis", Type: schema.Record, Fields: append([]schema.Field{
				{Name: "url", Type: schema.String, Referenceable: true, Encrypted: true, MatchAny: &schema.Patterns{
					Patterns: []string{"^rediss?://[^/]", "^rediss?%+sentinel://[^/]", "^rediss?%+cluster://[^/]"},
					Err:      "must start with rediss:// or redis://, or one of these with +sentinel or +cluster, and name a host: redis://USER:PASSWORD@redis.internal:6379/0",
				}, Description: "Address of the server, rediss:// for TLS: redis://USER:PASSWORD@redis.internal:6379/0",
					Doc: "Of sentinels, with the master's name: `redis+sentinel://USER:PASSWORD@HOST:26379,HOST:26379/MASTER`, and `?sentinel_username=...&sentinel_password=...` where the sentinels want their own. Of a cluster: `redis+cluster://USER:PASSWORD@HOST:6379,HOST:6379`."},
				{Name: "prefix", Type: schema.String, Default: "keyauth:", Description: "What all names in the database begin with."},
				integer("timeout_ms", "ms", 1000, 10, 60000, "Longest time to connect, and for one question."),
			}, tlsFields()...), Description: "Redis server, for the store redis."},
			integer("cache_ttl_ms", "ms", 60000, 1000, 3600000, "How long a consumer that Kong has named, or a key that a remote store knows, is not asked for again."),
			integer("cache_size", "keys", 100000, 100, 10000000, "Keys of a remote store that are remembered; as many wrong ones are remembered apart from them."),
			integer("negative_ttl_ms", "ms", 5000, 0, 3600000, "How long a key or consumer that was not found is not asked for again; 0 asks every time."),
			integer("stale_ms", "ms", 30000, 0, 3600000, "How long the last good answer counts beyond its time when a remote store, or Kong's database, gives none."),
			{Name: "throttle", Type: schema.Record, Fields: []schema.Field{
				integer("failures", "keys", 0, 0, 1000000, "Wrong keys of one client address within window_s that throttle it; 0 throttles nobody."),
				integer("window_s", "s", 60, 1, 86400, "Time within which wrong keys count together."),
				integer("pause_s", "s", 60, 1, 86400, "How long requests with a key from such an address are answered with 429, whatever the key."),
			}, Description: "Limit for clients that send wrong keys, counted by address on each node (IPv6: by /64 network)."},
			integer("max_body_bytes", "bytes", 1<<20, 0, maxBodyLimit, "Largest body that is searched for a key; there is none in a larger one."),
			{Name: "compat", Type: schema.String, OneOf: []any{"3.9", "2.8", "0.x"}, Default: "3.9",
				Description: "Version of Kong whose refusals the plugin gives.",
				Doc:         "`2.8`: 401 `Invalid authentication credentials`, the header WWW-Authenticate only without a key, realm `kong`. `0.x`: the same with status 403, and 400 for JSON that cannot be read."},
		},
	}
}

const (
	// prefixWord stands for the flag -kong-prefix.
	prefixWord      = "<kong-prefix>"
	defaultSnapshot = prefixWord + "/keyauth/keys.jsonl"
	minPepper       = 16
)

// tlsFields are those of an encrypted connection to a store.
func tlsFields() []schema.Field {
	return []schema.Field{
		{Name: "ca", Type: schema.String, Referenceable: true, Description: "Authorities that may certify the other side, instead of the system's: PEM text, or the path of a file with it."},
		{Name: "cert", Type: schema.String, Referenceable: true, Description: "Certificate that the plugin shows: PEM text, or the path of a file with it."},
		{Name: "key", Type: schema.String, Referenceable: true, Encrypted: true, Description: "Private key of cert: PEM text, or the path of a file with it."},
		{Name: "server_name", Type: schema.String, Description: "Name that the other side's certificate must have, when it is not the address's host."},
	}
}

// credentialFields are those of one credential in the configuration.
func credentialFields() []schema.Field {
	texts := func(name, description string) schema.Field {
		return schema.Field{Name: name, Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Description: description}
	}
	return []schema.Field{
		{Name: "digest", Type: schema.String, Required: true, MatchAny: &schema.Patterns{
			Patterns: []string{"^sha256::[%w_%-]+$", "^hmac%-sha256:[^:]+:[%w_%-]+$"},
			Err:      "must be sha256::DIGEST or hmac-sha256:PEPPER-ID:DIGEST, the digest in base64url",
		}, Description: "Digest of the key, as sha256::DIGEST or hmac-sha256:PEPPER-ID:DIGEST."},
		{Name: "consumer", Type: schema.String, Required: true, Description: "Id or username of the consumer in Kong."},
		{Name: "id", Type: schema.String, UUID: true, Description: "Id of the credential, for X-Credential-Identifier; made of the digest when unset."},
		{Name: "expires_at", Type: schema.Integer, Between: []float64{0, maxEpoch}, Unit: "s", Description: "Unix time from which on the key is refused; 0 is never."},
		{Name: "not_before", Type: schema.Integer, Between: []float64{0, maxEpoch}, Unit: "s", Description: "Unix time before which the key is refused."},
		{Name: "disabled", Type: schema.Boolean, Default: false, Description: "Refuses the key."},
		texts("groups", "Groups for the acl plugin."),
		texts("scopes", "What the key is good for: method:GET, route:NAME, service:NAME; of several kinds each must fit."),
		texts("cidrs", "Client addresses that may use the key."),
		{Name: "hint", Type: schema.String, Description: "What people know the key by; never the key."},
	}
}

func toggle(name string, standard bool, description string) schema.Field {
	return schema.Field{Name: name, Type: schema.Boolean, Required: true, Default: standard, Description: description}
}

func integer(name, unit string, standard, least, most float64, description string) schema.Field {
	return schema.Field{Name: name, Type: schema.Integer, Unit: unit, Default: standard, Between: []float64{least, most}, Description: description}
}
