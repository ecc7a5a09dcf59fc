package moesif

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// Config is one configuration as Kong sends it, and the plugin's handlers for it. Make it with New; it is read-only from
// the first event on.
type Config struct {
	ApplicationID                   string   `json:"application_id"` // secret: never logged
	APIEndpoint                     string   `json:"api_endpoint"`
	Timeout                         int      `json:"timeout"`
	ConnectTimeout                  int      `json:"connect_timeout"` // milliseconds, as every time here
	SendTimeout                     int      `json:"send_timeout"`
	Keepalive                       int      `json:"keepalive"`
	EventQueueSize                  int      `json:"event_queue_size"`
	APIVersion                      string   `json:"api_version"`
	DisableCaptureRequestBody       bool     `json:"disable_capture_request_body"`
	DisableCaptureResponseBody      bool     `json:"disable_capture_response_body"`
	RequestMasks                    []string `json:"request_masks"`
	RequestBodyMasks                []string `json:"request_body_masks"`
	RequestHeaderMasks              []string `json:"request_header_masks"`
	ResponseMasks                   []string `json:"response_masks"`
	ResponseBodyMasks               []string `json:"response_body_masks"`
	ResponseHeaderMasks             []string `json:"response_header_masks"`
	RequestQueryMasks               []string `json:"request_query_masks"`
	BatchSize                       int      `json:"batch_size"`
	DisableTransactionID            bool     `json:"disable_transaction_id"`
	Debug                           bool     `json:"debug"`
	DisableGzipPayloadDecompression bool     `json:"disable_gzip_payload_decompression"`
	UserIDHeader                    string   `json:"user_id_header"`
	CompanyIDHeader                 string   `json:"company_id_header"`
	AuthorizationHeaderName         string   `json:"authorization_header_name"`
	AuthorizationUserIDField        string   `json:"authorization_user_id_field"`
	AuthorizationCompanyIDField     string   `json:"authorization_company_id_field"`
	MaxCallbackTimeSpent            int      `json:"max_callback_time_spent"`
	RequestMaxBodySizeLimit         int      `json:"request_max_body_size_limit"`
	ResponseMaxBodySizeLimit        int      `json:"response_max_body_size_limit"`
	EnableCompression               bool     `json:"enable_compression"`

	// Gone from the Lua plugin; set at all, they are warned of.
	MaxEventsSentPerCallback        *float64 `json:"max_events_sent_per_callback"`
	DisableMoesifPayloadCompression *bool    `json:"disable_moesif_payload_compression"`

	FlushAfterMS         int      `json:"flush_after_ms"`
	QueueMaxBytes        int      `json:"queue_max_bytes"`
	DropPolicy           string   `json:"drop_policy"`
	SpoolDir             string   `json:"spool_dir"`
	SpoolMaxBytes        int      `json:"spool_max_bytes"`
	SpoolMaxAge          int      `json:"spool_max_age"` // seconds
	SessionTokenMode     string   `json:"session_token_mode"`
	TrustConsumerHeaders bool     `json:"trust_consumer_headers"`
	GovernanceFailOpen   bool     `json:"governance_fail_open"`
	RuleHeaders          bool     `json:"rule_headers"`
	MaskAction           string   `json:"mask_action"`
	MaskHashKey          string   `json:"mask_hash_key"` // secret: never logged
	MaskDetectors        []string `json:"mask_detectors"`
	UnmaskableBodies     string   `json:"unmaskable_bodies"`
	SkipBodyTypes        []string `json:"skip_body_types"`

	capture  *Capture
	decoded  error                     // what Schema found wrong in Kong's JSON
	resolve  func() (*settings, error) // check, run once
	reported atomic.Bool
	lease    lease
}

// New returns a configuration with the defaults, whose events go through c.
func New(c *Capture) *Config {
	config := &Config{capture: c}
	c.schema.SetDefaults(config)
	config.resolve = sync.OnceValues(config.check)
	return config
}

// UnmarshalJSON reads Kong's configuration. It never fails, because a decoding error would cost every request of this
// configuration a 500: what is wrong is reported once, by the first event.
func (c *Config) UnmarshalJSON(data []byte) error {
	c.decoded = c.capture.schema.Decode(data, (*plainConfig)(c))
	return nil
}

// Check says everything that is wrong with the configuration, each with its field; -validate asks.
func (c *Config) Check() error {
	_, err := c.resolve()
	return err
}

// Warnings are what is worth saying of a configuration though it is right.
func (c *Config) Warnings() (list []string) {
	for _, gone := range []struct {
		set            bool
		field, instead string
	}{
		{c.MaxEventsSentPerCallback != nil, "max_events_sent_per_callback", "batch_size"},
		{c.DisableMoesifPayloadCompression != nil, "disable_moesif_payload_compression", "enable_compression"},
	} {
		if gone.set {
			list = append(list, gone.field+": gone, without effect; remove it, and see "+gone.instead)
		}
	}
	for _, id := range []struct{ field, header string }{{"user_id_header", c.UserIDHeader}, {"company_id_header", c.CompanyIDHeader}} {
		if isRedacted(lowerName(id.header)) {
			list = append(list, id.field+": "+id.header+" holds credentials and is ignored; authorization_header_name reads ids from tokens")
		}
	}
	return list
}

// plainConfig is Config without its methods, so that decoding into it does not come back to UnmarshalJSON.
type plainConfig Config

var _ json.Unmarshaler = (*Config)(nil)
