package moesif

import (
	"strings"

	"kong-go-plugins/schema"
)

// Version is the plugin's version, for Kong and in the User-Agent of every upload.
const Version = "0.1.0"

// Priority is that of Moesif's Lua plugin: after practically every authentication, traffic-control and transformation
// plugin.
const Priority = 5

// Limits of the settings.
const (
	maxMillis    = 3600000   // one hour
	maxBodyLimit = 100 << 20 // the collector takes events of 1 MB
)

// Schema declares the configuration. The first 30 fields are those of Moesif's Lua plugin 2.1, by name and type, so that
// configurations made for it load unchanged; then come the two that earlier versions of it had, and additions. No scope is
// forbidden: a configuration per consumer is honoured.
func Schema() schema.Plugin {
	return schema.Plugin{
		Name:             "moesif",
		Protocols:        []string{"grpc", "grpcs", "http", "https"},
		DefaultProtocols: []string{"http", "https"}, // the response phase buffers, which breaks gRPC
		Fields: []schema.Field{
			{Name: "application_id", Type: schema.String, Required: true, Referenceable: true, Encrypted: true,
				Description: "Collector Application Id of your Moesif account."},
			{Name: "api_endpoint", Type: schema.String, Required: true, Referenceable: true, Default: "https://api.moesif.net",
				MatchAny: &schema.Patterns{Patterns: []string{"^https?://[^/]", "^file:///.", "^stdout:$"},
					Err: "must start with https:// or http:// and name a host, for instance https://api.moesif.net (or be file:///PATH or stdout: for a dry run)"},
				Description: "Base URL of the collector; file:///PATH or stdout: for a dry run.",
				Doc:         "A path in it is kept; a trailing slash is tolerated. In a dry run nothing is sent: events are written as they would be, one per line."},
			number("timeout", "ms", 1000, 0, maxMillis, "Deprecated and without effect: see connect_timeout and send_timeout."),
			number("connect_timeout", "ms", 1000, 1, maxMillis, "Longest time to connect to the collector, TLS included."),
			number("send_timeout", "ms", 5000, 1, maxMillis, "Longest time for one upload, from its start to the answer."),
			number("keepalive", "ms", 5000, 0, maxMillis, "How long an idle connection to the collector is kept; 0 keeps none."),
			number("event_queue_size", "events", 100000, 1, 10000000, "Events that wait in memory at most; further ones wait on disk, or are dropped and counted."),
			text("api_version", "1.0", "Version of your API, copied into request.api_version of every event."),
			boolean("disable_capture_request_body", false, "Leaves request bodies out of the events."),
			boolean("disable_capture_response_body", false, "Leaves response bodies out of the events."),
			names("request_masks", "Deprecated name of request_body_masks, used when that is empty.", ""),
			names("request_body_masks", "Members of JSON request bodies, fields of forms, elements and attributes of XML that are masked.", bodyMaskDoc),
			names("request_header_masks", "Request headers that are masked, whatever their case.", ""),
			names("response_masks", "Deprecated name of response_body_masks, used when that is empty.", ""),
			names("response_body_masks", "Members of JSON response bodies, fields of forms, elements and attributes of XML that are masked.", bodyMaskDoc),
			names("response_header_masks", "Response headers that are masked, whatever their case.", ""),
			names("request_query_masks", "Query arguments whose value is sent as *****.", "Exact names, after percent-decoding; every occurrence."),
			number("batch_size", "events", 50, 1, 1000, "Events in one upload at most."),
			boolean("disable_transaction_id", false, "Leaves the header X-Moesif-Transaction-Id alone."),
			boolean("debug", false, "Logs every upload on the plugin's own output; never bodies, never keys."),
			boolean("disable_gzip_payload_decompression", false, "Sends captured bodies under gzip, deflate, br or zstd as they are, in base64."),
			text("user_id_header", nil, "Request or response header that holds the user's id."),
			text("company_id_header", nil, "Request or response header that holds the company's id."),
			text("authorization_header_name", "authorization", "Request headers that may hold a token, in order, separated by commas; an empty text means none."),
			text("authorization_user_id_field", "sub", "Claim of the token that holds the user's id; a path with dots works."),
			text("authorization_company_id_field", nil, "Claim of the token that holds the company's id; a path with dots works."),
			number("max_callback_time_spent", "ms", 750, 0, maxMillis, "Accepted for old configurations and without effect: uploads never run on a request."),
			number("request_max_body_size_limit", "bytes", 100000, 0, maxBodyLimit, "Larger request bodies are left out, never cut."),
			number("response_max_body_size_limit", "bytes", 100000, 0, maxBodyLimit, "Larger response bodies are left out, never cut."),
			boolean("enable_compression", false, "Compresses uploads with gzip."),

			gone("max_events_sent_per_callback", schema.Number, "Gone since version 0.2 of the Lua plugin: accepted, warned of, without effect; see batch_size."),
			gone("disable_moesif_payload_compression", schema.Boolean, "Gone since version 2.1 of the Lua plugin: accepted, warned of, without effect; see enable_compression."),

			integer("flush_after_ms", "ms", 1000, 10, 300000, "Age of the oldest waiting event at which a batch leaves though it is not full."),
			integer("queue_max_bytes", "bytes", 64<<20, 1<<20, 16<<30, "Memory for waiting events; what does not fit waits on disk, or is dropped and counted."),
			choice("drop_policy", []any{"oldest", "newest"}, "oldest", "Which events go when memory and disk are full."),
			absolute(text("spool_dir", defaultSpool, "Folder in which events wait until the collector has them, through crashes and restarts; an empty text keeps them in memory only.",
				"`<kong-prefix>` at its start stands for the flag -kong-prefix. Each application has a folder of its own in it, for Kong's user alone.")),
			integer("spool_max_bytes", "bytes", 128<<20, 1<<20, 1<<40, "Room on disk for the waiting events of one application."),
			integer("spool_max_age", "s", 86400, 60, 30*86400, "Age at which an event that waits on disk is given up; the collector refuses what is older than 30 days."),
			choice("session_token_mode", []any{"key", "hash", "id", "none"}, "key", "What session_token shows of the credential: its key as it is, a keyed hash of the key, the credential's id, or nothing.",
				"The hash is HMAC-SHA256 under mask_hash_key, or else the application id, in 32 hex digits."),
			boolean("trust_consumer_headers", true, "Reads the user from x-consumer-* request headers when Kong knows no consumer; clients can forge them on open routes."),
			boolean("governance_fail_open", true, "Lets requests pass until the governance rules are known; off answers them with 503."),
			boolean("rule_headers", false, "Adds the headers of matching rules that do not block to responses that pass, too."),
			choice("mask_action", []any{"remove", "stars", "hash"}, "remove", "What happens to a masked header or body member: it is removed, or its value becomes ***** or a keyed hash.",
				"The hash is HMAC-SHA256 under mask_hash_key, shown as `hash:` and 32 hex digits; equal values have equal hashes. Masked query arguments become `*****`, or the hash."),
			schema.Field{Name: "mask_hash_key", Type: schema.String, Referenceable: true, Encrypted: true,
				Description: "Secret key of the hashes that mask_action and session_token_mode make."},
			schema.Field{Name: "mask_detectors", Type: schema.Set, Default: []string{}, Elements: &schema.Field{Type: schema.String, OneOf: []any{"card_number", "email", "jwt"}},
				Description: "Kinds of values that are masked wherever they stand: in bodies, header values and URLs.",
				Doc:         "Card numbers must have a valid check digit. What is found becomes `*****`, or a hash with mask_action hash; the text around it stays."},
			choice("unmaskable_bodies", []any{"drop", "send"}, "drop", "What happens to a body that the set masks cannot be applied to: it is left out, or sent as it is."),
			schema.Field{Name: "skip_body_types", Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Default: []string{},
				Description: "Media types whose bodies are left out; type/* stands for all of a type.",
				Doc:         "For instance `[\"image/*\", \"audio/*\", \"video/*\", \"font/*\", \"application/octet-stream\"]`."},
		},
		Checks: []schema.Check{{Conditional: &schema.Conditional{
			IfField: "mask_action", IfMatch: schema.Field{Eq: "hash"},
			ThenField: "mask_hash_key", ThenMatch: schema.Field{Required: true},
			ThenErr: "mask_action hash wants mask_hash_key",
		}}},
	}
}

// defaultSpool begins with prefixWord, which stands for the flag -kong-prefix.
const (
	prefixWord   = "<kong-prefix>"
	defaultSpool = prefixWord + "/moesif-spool"
)

const bodyMaskDoc = "A name counts at every depth, in its exact case. An entry that starts with `$` or holds `.` or `[` is a " +
	"path from the top: `$.user.ssn`, `items[*].card`. See Masks for bodies of other types."

func number(name, unit string, standard, least, most float64, description string) schema.Field {
	return schema.Field{Name: name, Type: schema.Number, Unit: unit, Default: standard, Between: []float64{least, most}, Description: description}
}

func integer(name, unit string, standard, least, most float64, description string) schema.Field {
	f := number(name, unit, standard, least, most, description)
	f.Type = schema.Integer
	return f
}

func boolean(name string, standard bool, description string) schema.Field {
	return schema.Field{Name: name, Type: schema.Boolean, Default: standard, Description: description}
}

// text declares a string that may be empty: old configurations set "" for unset.
func text(name string, standard any, description string, doc ...string) schema.Field {
	none := 0
	return schema.Field{Name: name, Type: schema.String, LenMin: &none, Default: standard, Description: description, Doc: strings.Join(doc, " ")}
}

// absolute lets a folder be named only in ways that do not depend on where Kong was started.
func absolute(f schema.Field) schema.Field {
	f.MatchAny = &schema.Patterns{Patterns: []string{"^/", "^<kong.prefix>", "^$"}, Err: "must be an absolute path, begin with <kong-prefix>, or be empty"}
	return f
}

func choice(name string, of []any, standard, description string, doc ...string) schema.Field {
	return schema.Field{Name: name, Type: schema.String, OneOf: of, Default: standard, Description: description, Doc: strings.Join(doc, " ")}
}

// gone declares a field that only earlier versions of the Lua plugin had: Kong refuses what is not declared.
func gone(name string, t schema.Type, description string) schema.Field {
	return schema.Field{Name: name, Type: t, Description: description}
}

// names declares an array of names. They are plain strings: Kong's header_name would refuse paths such as $.user.
func names(name, description, doc string) schema.Field {
	return schema.Field{Name: name, Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Default: []string{},
		Description: description, Doc: doc}
}
