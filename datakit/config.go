package datakit

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"kong-go-plugins/schema"
)

// Config is one configuration as Kong sends it, and the plugin's handlers for it. Make it with New; it is read-only from
// the first event on.
type Config struct {
	Nodes        json.RawMessage `json:"nodes"`
	Debug        bool            `json:"debug"`
	Resources    Resources       `json:"resources"`
	TimeoutMS    int             `json:"timeout_ms"` // of all nodes of a phase together
	MaxParallel  int             `json:"max_parallel"`
	MaxBodyBytes int             `json:"max_body_bytes"`
	HeaderCase   string          `json:"header_case"` // canonical or lower

	id       string // of the plugin's configuration in Kong
	engine   *Engine
	decoded  error                 // what Schema found wrong in Kong's JSON
	resolve  func() (*Plan, error) // compile, run once
	release  func()
	reported atomic.Bool
}

// Resources are what nodes share.
type Resources struct {
	Cache *CacheConfig      `json:"cache"`
	Vault map[string]string `json:"vault"` // secret: never logged
}

// CacheConfig is where nodes of type cache keep values.
type CacheConfig struct {
	Strategy string      `json:"strategy"` // memory or redis
	Memory   MemoryCache `json:"memory"`
	Redis    RedisCache  `json:"redis"`
}

// MemoryCache names a store in this process.
type MemoryCache struct {
	DictionaryName string `json:"dictionary_name"`
}

// RedisCache is a Redis server, sentinels or a cluster, with the names of Kong. Times are in milliseconds.
type RedisCache struct {
	Host                   string      `json:"host"`
	Port                   int         `json:"port"`
	ConnectTimeout         int         `json:"connect_timeout"`
	SendTimeout            int         `json:"send_timeout"`
	ReadTimeout            int         `json:"read_timeout"`
	Username               string      `json:"username"`
	Password               string      `json:"password"` // secret: never logged
	Database               int         `json:"database"`
	SSL                    bool        `json:"ssl"`
	SSLVerify              bool        `json:"ssl_verify"`
	ServerName             string      `json:"server_name"`
	KeepalivePoolSize      int         `json:"keepalive_pool_size"`
	KeepaliveBacklog       *int        `json:"keepalive_backlog"`
	SentinelMaster         string      `json:"sentinel_master"`
	SentinelRole           string      `json:"sentinel_role"`
	SentinelNodes          []RedisHost `json:"sentinel_nodes"`
	SentinelUsername       string      `json:"sentinel_username"`
	SentinelPassword       string      `json:"sentinel_password"` // secret: never logged
	ClusterNodes           []RedisIP   `json:"cluster_nodes"`
	ClusterMaxRedirections int         `json:"cluster_max_redirections"`
	ConnectionIsProxied    bool        `json:"connection_is_proxied"`
	Timeout                *int        `json:"timeout"`
	SentinelAddresses      []string    `json:"sentinel_addresses"`
	ClusterAddresses       []string    `json:"cluster_addresses"`

	CloudAuthentication *struct { // the schema refuses all that could be in it
		AuthProvider string `json:"auth_provider"`
	} `json:"cloud_authentication"`
}

// RedisHost is the address of a sentinel.
type RedisHost struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

// RedisIP is the address of a node of a cluster.
type RedisIP struct {
	IP   string `json:"ip"`
	Port int    `json:"port"`
}

// New returns a configuration with the defaults, which shares e with all others.
func New(e *Engine) *Config {
	c := &Config{engine: e}
	e.schema.SetDefaults(c)
	c.resolve = sync.OnceValues(func() (p *Plan, err error) {
		p, c.release, err = e.plan(c)
		return p, err
	})
	return c
}

// UnmarshalJSON reads Kong's configuration. It never fails: what is wrong is answered and reported by the requests.
func (c *Config) UnmarshalJSON(data []byte) error {
	c.decoded = c.engine.schema.Decode(data, (*plainConfig)(c))
	var entity struct {
		ID    string          `json:"__plugin_id"`
		Nodes json.RawMessage `json:"nodes"`
	}
	if json.Unmarshal(data, &entity) == nil {
		c.id, c.Nodes = entity.ID, entity.Nodes // whatever is wrong with them is told by compile, all of it
	}
	return nil
}

// Check says everything that is wrong with the configuration, each with its place; -validate asks, and finds the lines.
func (c *Config) Check() error {
	_, err := c.resolve()
	var errs []error
	for _, p := range Problems(err) {
		errs = append(errs, &schema.FieldError{Field: p.Path, Text: p.Text})
	}
	return errors.Join(errs...)
}

// problems adds what Schema found wrong, apart from nodes: it names the first mistake in them only.
func (c *Config) problems(p *problems) {
	for _, e := range schema.Errors(c.decoded) {
		if e.Field != "nodes" && !strings.HasPrefix(e.Field, "nodes[") && !strings.HasPrefix(e.Field, "nodes.") || len(c.Nodes) == 0 {
			p.add(e.Field, "", "%s", e.Text)
		}
	}
}

// plainConfig is Config without its methods, so that decoding into it does not come back to UnmarshalJSON.
type plainConfig Config

var _ json.Unmarshaler = (*Config)(nil)

// A NodeConfig is one node of the configuration.
type NodeConfig struct {
	*options
	Index int // from 0
	Name  string
	Type  string

	kind      *kind
	out       []port // its outputs
	resources *Resources
	linked    map[string]bool   // inputs that are connected; self for the whole value
	literals  map[string]string // inputs of a call that are written as they are
}

// connected reports whether a link goes into an input. Every input is connected when the whole value is.
func (c *NodeConfig) connected(input string) bool { return c.linked[input] || c.linked[self] }

// hasInput reports whether anything is connected to the node.
func (c *NodeConfig) hasInput() bool { return len(c.linked) > 0 }

// readNodes decodes the nodes. Nodes without a usable name or type are left out, with a problem.
func readNodes(raw []byte, resources *Resources, p *problems) []*NodeConfig {
	v, err := decodeJSON(raw)
	if err != nil {
		p.add("nodes", "", "%s", err)
		return nil
	}
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
		ok = true // an empty Lua table
	}
	switch {
	case !ok:
		p.add("nodes", "", "expected a list of nodes, got %s", nameOf(v))
		return nil
	case len(list) == 0:
		p.add("nodes", "", "is empty; a workflow has 1 to %d nodes", maxNodes)
	case len(list) > maxNodes:
		p.add("nodes", "", "has %d nodes; a workflow has 1 to %d", len(list), maxNodes)
		return nil
	}
	nodes := make([]*NodeConfig, 0, len(list))
	names := map[string]int{}
	for i, e := range list {
		if c := readNode(i, e, names, p); c != nil {
			c.resources = resources
			if c.out = c.kind.out; c.kind.declare != nil {
				c.out = c.kind.declare(c)
			}
			nodes = append(nodes, c)
		}
	}
	return nodes
}

func readNode(i int, e any, names map[string]int, p *problems) *NodeConfig {
	path := nodePath(i)
	m, ok := e.(map[string]any)
	if !ok {
		p.add(path, "", "expected a node, which is an object with name and type, got %s", nameOf(e))
		return nil
	}
	o := &options{path: path, members: m, declared: commonOptions, problems: p}
	c := &NodeConfig{options: o, Index: i, linked: map[string]bool{}}
	name, ok := o.text("name")
	switch {
	case !ok && o.members["name"] == nil:
		o.fail("name", "required; it names the node in links")
	case !ok:
	case !isNodeName(name):
		o.fail("name", "%q is no name: it begins with a letter or _, then letters, digits, _ and -, 255 at most", shortened(name))
	case isReserved(name):
		o.fail("name", "%q is the name of an implicit node; take another one", name)
	default:
		if before, twice := names[name]; twice {
			o.fail("name", "%q is also the name of %s; names are unique", name, nodePath(before))
		} else {
			names[name], c.Name = i, name
		}
	}
	o.node = c.Name
	c.Type, ok = o.text("type")
	if !ok && o.members["type"] == nil {
		o.fail("type", "required; one of %s", typeNames())
	}
	if c.kind = kinds[c.Type]; c.kind == nil {
		if ok {
			hint := ""
			if similar := closest(c.Type, sortedKeys(kinds)); similar != "" {
				hint = "; did you mean " + similar + "?"
			}
			o.fail("type", "%q is no type of node; it is one of %s%s", shortened(c.Type), typeNames(), hint)
		}
		return nil
	}
	if c.Name == "" {
		return nil
	}
	o.declared = slices.Concat(commonOptions, c.kind.options)
	return c
}
