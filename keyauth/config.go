package keyauth

import (
	"encoding/json"
	"sync"
	"sync/atomic"
)

// Config is one configuration as Kong sends it, and the plugin's handler for it. Make it with New; it is read-only from
// the first event on.
type Config struct {
	KeyNames        []string        `json:"key_names"`
	KeyInHeader     bool            `json:"key_in_header"`
	KeyInQuery      bool            `json:"key_in_query"`
	KeyInBody       bool            `json:"key_in_body"`
	HeaderScheme    string          `json:"header_scheme"` // for instance Bearer
	HideCredentials bool            `json:"hide_credentials"`
	Anonymous       string          `json:"anonymous"` // id or username
	RunOnPreflight  bool            `json:"run_on_preflight"`
	Realm           string          `json:"realm"`
	IdentityRealms  []IdentityRealm `json:"identity_realms"`

	Stores          []string     `json:"stores"`
	Credentials     []Credential `json:"credentials"`
	File            string       `json:"file"`
	Snapshot        string       `json:"snapshot"`
	KeyPrefixes     []string     `json:"key_prefixes"`
	Pepper          string       `json:"pepper"`           // secret: never logged
	PreviousPeppers []string     `json:"previous_peppers"` // secret: never logged
	Postgres        Postgres     `json:"postgres"`
	AdminAPI        AdminAPI     `json:"admin_api"`
	Redis           Redis        `json:"redis"`
	CacheTTLMS      int          `json:"cache_ttl_ms"`
	CacheSize       int          `json:"cache_size"` // keys
	NegativeTTLMS   int          `json:"negative_ttl_ms"`
	StaleMS         int          `json:"stale_ms"`
	Throttle        Throttle     `json:"throttle"`
	MaxBodyBytes    int          `json:"max_body_bytes"`
	Compat          string       `json:"compat"`

	gate     *Gate
	decoded  error // what Schema found wrong in Kong's JSON
	scope    scope
	resolve  func() (*settings, error) // check, run once
	reported atomic.Bool
	lease    lease
}

// An IdentityRealm is where Konnect keeps consumers; only scope cp, which is here, is served.
type IdentityRealm struct {
	Scope  string `json:"scope"`
	ID     string `json:"id"`
	Region string `json:"region"`
}

// A Credential is one in the configuration itself.
type Credential struct {
	Digest    string   `json:"digest"`
	Consumer  string   `json:"consumer"` // id or username
	ID        string   `json:"id"`
	ExpiresAt int64    `json:"expires_at"` // Unix time; 0 is never
	NotBefore int64    `json:"not_before"`
	Disabled  bool     `json:"disabled"`
	Groups    []string `json:"groups"`
	Scopes    []string `json:"scopes"`
	CIDRs     []string `json:"cidrs"`
	Hint      string   `json:"hint"`
}

// A Postgres is a Kong's database.
type Postgres struct {
	DSN       string `json:"dsn"` // secret: never logged
	Workspace string `json:"workspace"`
	Pool      int    `json:"pool"` // connections
	TimeoutMS int    `json:"timeout_ms"`
}

// An AdminAPI is Kong's.
type AdminAPI struct {
	URL         string `json:"url"`
	Token       string `json:"token"` // secret: never logged
	TokenHeader string `json:"token_header"`
	IntervalMS  int    `json:"interval_ms"`
	TimeoutMS   int    `json:"timeout_ms"`
	CA          string `json:"ca"` // PEM text or a path, as the two below
	Cert        string `json:"cert"`
	Key         string `json:"key"` // secret: never logged
	ServerName  string `json:"server_name"`
}

// A Redis is a server whose keys many nodes share.
type Redis struct {
	URL        string `json:"url"` // secret: it holds a password; never logged
	Prefix     string `json:"prefix"`
	TimeoutMS  int    `json:"timeout_ms"`
	CA         string `json:"ca"` // PEM text or a path, as the two below
	Cert       string `json:"cert"`
	Key        string `json:"key"` // secret: never logged
	ServerName string `json:"server_name"`
}

// A Throttle limits clients that send wrong keys.
type Throttle struct {
	Failures int `json:"failures"` // 0 limits nobody
	WindowS  int `json:"window_s"` // seconds
	PauseS   int `json:"pause_s"`
}

// New returns a configuration with the defaults, which shares g with all others.
func New(g *Gate) *Config {
	c := &Config{gate: g}
	g.schema.SetDefaults(c)
	c.resolve = sync.OnceValues(c.check)
	return c
}

// UnmarshalJSON reads Kong's configuration. It never fails: what is wrong is answered and reported by the requests.
func (c *Config) UnmarshalJSON(data []byte) error {
	c.decoded = c.gate.schema.Decode(data, (*plainConfig)(c))
	_ = json.Unmarshal(data, &c.scope) // where it is not JSON, Decode has said so
	return nil
}

// A scope is what Kong adds to a configuration of where it is used.
type scope struct {
	ConsumerID string `json:"consumer_id"`
	Workspace  string `json:"__ws_id"` // consumers of one name can be in each
}

// Check says everything that is wrong with the configuration, each with its field; -validate asks.
func (c *Config) Check() error {
	_, err := c.resolve()
	return err
}

// plainConfig is Config without its methods, so that decoding into it does not come back to UnmarshalJSON.
type plainConfig Config

var _ json.Unmarshaler = (*Config)(nil)
