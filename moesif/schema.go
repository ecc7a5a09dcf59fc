package moesif

import "kong-go-plugins/schema"

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
// configurations made for it load unchanged; the last three are additions. No scope is forbidden: a configuration per
// consumer is honoured.
func Schema() schema.Plugin {
	return schema.Plugin{
		Name:             "moesif",
		Protocols:        []string{"grpc", "grpcs", "http", "https"},
		DefaultProtocols: []string{"http", "https"}, // the response phase buffers, which breaks gRPC
		Fields: []schema.Field{
			{Name: "application_id", Type: schema.String, Required: true, Referenceable: true, Encrypted: true,
				Description: "Collector Application Id of your Moesif account."},
			{Name: "api_endpoint", Type: schema.String, Required: true, Referenceable: true, Default: "https://api.moesif.net",
				Match: "^https?://[^/]", Err: "must start with https:// or http:// and name a host, for instance https://api.moesif.net",
				Description: "Base URL of the collector.",
				Doc:         "A path in it is kept; a trailing slash is tolerated."},
			number("timeout", "ms", 1000, 0, maxMillis, "Deprecated and without effect: see connect_timeout and send_timeout."),
			number("connect_timeout", "ms", 1000, 1, maxMillis, "Longest time to connect to the collector, TLS included."),
			number("send_timeout", "ms", 5000, 1, maxMillis, "Longest time for one upload, from its start to the answer."),
			number("keepalive", "ms", 5000, 0, maxMillis, "How long an idle connection to the collector is kept; 0 keeps none."),
			number("event_queue_size", "events", 100000, 1, 10000000, "Events that wait in memory at most; further ones are dropped and counted."),
			text("api_version", "1.0", "Version of your API, copied into request.api_version of every event."),
			boolean("disable_capture_request_body", false, "Leaves request bodies out of the events."),
			boolean("disable_capture_response_body", false, "Leaves response bodies out of the events."),
			names("request_masks", "Deprecated name of request_body_masks, used when that is empty.", ""),
			names("request_body_masks", "Members that are removed from JSON request bodies.", bodyMaskDoc),
			names("request_header_masks", "Request headers that are left out, whatever their case.", ""),
			names("response_masks", "Deprecated name of response_body_masks, used when that is empty.", ""),
			names("response_body_masks", "Members that are removed from JSON response bodies.", bodyMaskDoc),
			names("response_header_masks", "Response headers that are left out, whatever their case.", ""),
			names("request_query_masks", "Query arguments whose value is sent as *****.", "Exact names, after percent-decoding; every occurrence."),
			number("batch_size", "events", 50, 1, 1000, "Events in one upload at most."),
			boolean("disable_transaction_id", false, "Leaves the header X-Moesif-Transaction-Id alone."),
			boolean("debug", false, "Logs every upload on the plugin's own output; never bodies, never keys."),
			boolean("disable_gzip_payload_decompression", false, "Sends captured gzip bodies as they are, in base64."),
			text("user_id_header", nil, "Request or response header that holds the user's id."),
			text("company_id_header", nil, "Request or response header that holds the company's id."),
			text("authorization_header_name", "authorization", "Request headers that may hold a token, in order, separated by commas; an empty text means none."),
			text("authorization_user_id_field", "sub", "Claim of the token that holds the user's id; a path with dots works."),
			text("authorization_company_id_field", nil, "Claim of the token that holds the company's id; a path with dots works."),
			number("max_callback_time_spent", "ms", 750, 0, maxMillis, "Accepted for old configurations and without effect: uploads never run on a request."),
			number("request_max_body_size_limit", "bytes", 100000, 0, maxBodyLimit, "Larger request bodies are left out, never cut."),
			number("response_max_body_size_limit", "bytes", 100000, 0, maxBodyLimit, "Larger response bodies are left out, never cut."),
			boolean("enable_compression", false, "Compresses uploads with gzip."),

			integer("flush_after_ms", "ms", 1000, 10, 300000, "Age of the oldest waiting event at which a batch leaves though it is not full."),
			integer("queue_max_bytes", "bytes", 64<<20, 1<<20, 16<<30, "Memory for waiting events; what does not fit is dropped and counted."),
			boolean("trust_consumer_headers", true, "Reads the user from x-consumer-* request headers when Kong knows no consumer; clients can forge them on open routes."),
		},
	}
}

const bodyMaskDoc = "A name is removed at every depth, in its exact case. An entry that starts with `$` or holds `.` or `[` is a " +
	"path from the top: `$.user.ssn`, `items[*].card`. A body that is not JSON is then left out."

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
func text(name string, standard any, description string) schema.Field {
	none := 0
	return schema.Field{Name: name, Type: schema.String, LenMin: &none, Default: standard, Description: description}
}

// names declares an array of names. They are plain strings: Kong's header_name would refuse paths such as $.user.
func names(name, description, doc string) schema.Field {
	return schema.Field{Name: name, Type: schema.Array, Elements: &schema.Field{Type: schema.String}, Default: []string{},
		Description: description, Doc: doc}
}
