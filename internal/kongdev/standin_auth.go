package kongdev

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/lua"
	"kong-go-plugins/internal/kongdev/uri"
	"kong-go-plugins/schema"
)

// authStandIn authenticates consumers by their keyauth_credentials in the
// configuration file, with the answers, headers and context of Kong's key-auth.
var authStandIn = standIn{ // read-only
	priority: 1250,
	phases:   []string{"access"},
	schema: func() schema.Plugin {
		return schema.Plugin{Name: "kongdev-auth", Fields: []schema.Field{
			{Name: "key_names", Type: schema.Array, Required: true, Elements: &schema.Field{Type: schema.String}, Default: []any{"apikey"}},
			{Name: "key_in_header", Type: schema.Boolean, Required: true, Default: true},
			{Name: "key_in_query", Type: schema.Boolean, Required: true, Default: true},
			{Name: "hide_credentials", Type: schema.Boolean, Required: true, Default: false},
			{Name: "anonymous", Type: schema.String},
			{Name: "realm", Type: schema.String},
			{Name: "run_on_preflight", Type: schema.Boolean, Required: true, Default: true},
		}}
	},
	build: buildAuth,
}

type authConfig struct {
	KeyNames       []string `json:"key_names"`
	InHeader       bool     `json:"key_in_header"`
	InQuery        bool     `json:"key_in_query"`
	Hide           bool     `json:"hide_credentials"`
	Anonymous      string   `json:"anonymous"` // a consumer's id or username
	Realm          string   `json:"realm"`
	RunOnPreflight bool     `json:"run_on_preflight"`
}

// A knownKey is whose key it is.
type knownKey struct {
	consumer   *declarative.Consumer
	credential declarative.Credential
}

func buildAuth(config json.RawMessage, d *declarative.Config) (h standInHandlers, err error) {
	var c authConfig
	if err := json.Unmarshal(config, &c); err != nil {
		return h, err
	}
	keys := map[string]knownKey{}
	var anonymous *declarative.Consumer
	for _, consumer := range d.Consumers {
		if c.Anonymous != "" && (consumer.ID == c.Anonymous || consumer.Username == c.Anonymous) {
			anonymous = consumer
		}
		for _, credential := range consumer.Credentials {
			if key, ok := credential.Fields["key"].(string); ok && credential.Kind == "keyauth_credentials" {
				keys[key] = knownKey{consumer, credential}
			}
		}
	}
	if c.Anonymous != "" && anonymous == nil {
		return h, fmt.Errorf("anonymous: no consumer %q; name one of this file by username or id", declarative.Clip(c.Anonymous))
	}
	h.access = func(q *request) error {
		if !c.RunOnPreflight && q.method == http.MethodOptions {
			return nil
		}
		if anonymous != nil && q.ctx.credential != nil {
			return nil // another plugin has authenticated the request
		}
		known, refusal := c.authenticate(q, keys)
		switch {
		case refusal == "":
			q.setConsumer(known.consumer, &known.credential)
		case anonymous != nil:
			q.setConsumer(anonymous, nil)
		default:
			challenge := "Key"
			if c.Realm != "" {
				challenge = fmt.Sprintf("Key realm=\"%s\"", c.Realm)
			}
			reply, _ := q.errorReply(http.StatusUnauthorized, refusal, lua.NewFields(map[string]lua.Value{"WWW-Authenticate": challenge})) // the status is one of ours
			q.ctx.exited = true
			return &exitSignal{reply}
		}
		return nil
	}
	return h, nil
}

// authenticate finds the owner of the request's key, or says why there is none.
func (c authConfig) authenticate(q *request, keys map[string]knownKey) (known knownKey, refusal string) {
	headers, query := q.headers.Table(defaultMax), parseArgs(q.args, defaultMax)
	for _, name := range c.KeyNames {
		var v lua.Value
		if c.InHeader {
			v = lookup(headers, name)
		}
		if v == nil && c.InQuery {
			v = query.Fields[name]
		}
		switch v := v.(type) {
		case *lua.Table:
			return known, "Duplicate API key found"
		case string:
			if c.Hide {
				q.clearUpstreamHeader(name)
				q.clearArgument(name)
			}
			if v == "" {
				return known, "No API key found in request"
			}
			known, ok := keys[v]
			if !ok {
				return known, "Unauthorized"
			}
			return known, ""
		}
	}
	return known, "No API key found in request"
}

// setConsumer is what Kong's authentication plugins do with a consumer and its
// credential; without one the consumer is the anonymous one.
func (q *request) setConsumer(c *declarative.Consumer, credential *declarative.Credential) {
	q.ctx.consumer = consumerTable(c)
	q.ctx.credential = nil
	set := func(name, v string) {
		if v == "" {
			q.clearUpstreamHeader(name)
			return
		}
		q.setUpstreamHeader(name, v, []string{cleanHeader(v)})
	}
	set("X-Consumer-ID", c.ID)
	set("X-Consumer-Custom-ID", c.CustomID)
	set("X-Consumer-Username", c.Username)
	if credential == nil {
		set("X-Credential-Identifier", "")
		set("X-Anonymous-Consumer", "true")
		return
	}
	fields := map[string]lua.Value{"id": credential.ID, "key": credential.Fields["key"], "created_at": float64(c.CreatedAt), "consumer": lua.NewFields(map[string]lua.Value{"id": c.ID})}
	if len(credential.Tags) > 0 {
		fields["tags"] = stringList(credential.Tags)
	}
	q.ctx.credential = lua.NewFields(fields)
	set("X-Credential-Identifier", credential.ID)
	set("X-Anonymous-Consumer", "")
}

// clearUpstreamHeader is kong.service.request.clear_header.
func (q *request) clearUpstreamHeader(name string) { q.headers.Remove(strings.ToLower(name)) }

// clearArgument removes an argument from the query that the upstream gets.
func (q *request) clearArgument(name string) {
	parts := strings.Split(q.args, "&")
	kept := slices.DeleteFunc(parts, func(part string) bool {
		key, _, _ := strings.Cut(part, "=")
		return uri.UnescapeArg(key) == name
	})
	q.args = strings.Join(kept, "&")
}
