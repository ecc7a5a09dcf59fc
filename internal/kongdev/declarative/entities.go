package declarative

import "go.yaml.in/yaml/v3"

// WorkspaceID is the id that Kong gives its default workspace when it runs
// without a database.
const WorkspaceID = "0dc6f45b-8f8d-40d2-a504-473544ee190b"

// Config is a loaded kong.yml: flat lists in the order of the file,
// nested entities lifted out, references resolved, ids and Kong's defaults
// filled in. It is not changed once the gateway runs.
type Config struct {
	Services  []*Service
	Routes    []*Route
	Consumers []*Consumer
	Upstreams []*Upstream
	Plugins   []*Plugin
	Notes     []string // what the file says that has no effect here, "file:line: text"
	mistakes  Problems // of the file; see Draft
}

// Service is Kong's service entity. Empty strings and nil lists stand for
// Kong's null. Timeouts are in milliseconds, CreatedAt and UpdatedAt in
// seconds since 1970. The routes of a service that is not Enabled
// match nothing.
type Service struct {
	ID, Name       string
	Protocol, Host string
	Port           int
	Path           string
	Retries        int
	ConnectTimeout int
	ReadTimeout    int
	WriteTimeout   int
	Enabled        bool
	Tags           []string
	CreatedAt      int64
	UpdatedAt      int64
}

// Route is Kong's route entity. A path that starts with "~" is a regular
// expression. Service is nil for a route without one.
type Route struct {
	ID, Name                string
	Protocols               []string
	Methods                 []string
	Hosts                   []string
	Paths                   []string
	SNIs                    []string // wildcard or plain; only requests over TLS are held to it
	Headers                 map[string][]string
	StripPath               bool
	PreserveHost            bool
	RegexPriority           int
	HTTPSRedirectStatusCode int
	PathHandling            string // "v0" or "v1"
	RequestBuffering        bool
	ResponseBuffering       bool
	Tags                    []string
	Service                 *Service
	CreatedAt               int64
	UpdatedAt               int64
}

// Consumer is Kong's consumer entity with its credentials.
type Consumer struct {
	ID, Username, CustomID string
	Tags                   []string
	CreatedAt              int64
	UpdatedAt              int64
	Credentials            []Credential
}

// Credential is one credential of a consumer. Kind is Kong's collection name
// (keyauth_credentials, jwt_secrets, basicauth_credentials,
// hmacauth_credentials, oauth2_credentials, acls); Fields are the values as
// written in the file. They are secrets: never log them.
type Credential struct {
	ID     string
	Kind   string
	Tags   []string
	Fields map[string]any
}

// Upstream is Kong's upstream entity: a host name that services can use, with
// the addresses behind it.
type Upstream struct {
	ID, Name   string
	Algorithm  string
	HostHeader string
	Slots      int
	Tags       []string
	Targets    []Target
	CreatedAt  int64
	UpdatedAt  int64
}

// Target is one address behind an upstream, "host:port", with its weight
// (0 to 65535; 0 takes no requests).
type Target struct {
	ID     string
	Target string
	Weight int
	Tags   []string
}

// Plugin is one plugin configuration. Route, Service and Consumer are
// its scope, nil where the scope does not name one. File and Line say where it
// was written, for error texts.
type Plugin struct {
	ID, Name     string
	InstanceName string
	Config       map[string]any
	Enabled      bool
	Protocols    []string
	Route        *Route
	Service      *Service
	Consumer     *Consumer
	Tags         []string
	CreatedAt    int64
	UpdatedAt    int64
	File         string
	Line         int

	at   string     // path in the file, like services[0].plugins[1]
	node *yaml.Node // the config as written, for the lines of its fields
}
