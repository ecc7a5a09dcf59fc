package declarative

import (
	"crypto/rand"
	"slices"
)

// A credentialKind describes one collection of Kong's bundled plugins.
type credentialKind struct {
	fields   []string
	required []string
	key      string // the field that must be unique; "" = group within the consumer
	auto     []string
	defaults map[string]any
}

var credentialKinds = map[string]credentialKind{ // read-only
	"keyauth_credentials":   {fields: []string{"key", "ttl"}, key: "key", auto: []string{"key"}},
	"basicauth_credentials": {fields: []string{"username", "password"}, required: []string{"username", "password"}, key: "username"},
	"hmacauth_credentials":  {fields: []string{"username", "secret"}, required: []string{"username"}, key: "username", auto: []string{"secret"}},
	"jwt_secrets": {
		fields: []string{"key", "secret", "rsa_public_key", "algorithm"}, key: "key", auto: []string{"key", "secret"},
		defaults: map[string]any{"algorithm": "HS256"},
	},
	"oauth2_credentials": {
		fields:   []string{"name", "client_id", "client_secret", "hash_secret", "redirect_uris", "client_type"},
		required: []string{"name"}, key: "client_id", auto: []string{"client_id", "client_secret"},
		defaults: map[string]any{"hash_secret": false, "client_type": "confidential"},
	},
	"acls": {fields: []string{"group"}, required: []string{"group"}},
}

func (l *loader) consumer(o *fileObject) {
	if o == nil {
		return
	}
	o.known(commonFields, []string{"username", "custom_id", "plugins"}, sortedKeys(credentialKinds))
	c := &Consumer{Username: o.str("username"), CustomID: o.str("custom_id"), Tags: l.tags(o)}
	c.CreatedAt, c.UpdatedAt = l.times(o)
	c.ID = l.identify(o, "consumers", c.Username)
	l.unique(o, "consumers", "username", c.Username)
	l.unique(o, "consumers", "custom_id", c.CustomID)
	if !o.has("username") && !o.has("custom_id") {
		o.fail("", "at least one of these fields must be non-empty: 'custom_id', 'username'")
	}
	l.out.Consumers = append(l.out.Consumers, c)
	for _, kind := range sortedKeys(credentialKinds) {
		for _, e := range o.list(kind, "an array") {
			l.credential(e.object(), kind, c)
		}
	}
	for _, e := range o.list("plugins", "an array") {
		l.plugin(e.object(), pluginScope{consumer: c})
	}
}

// credential reads a credential of parent, or of the consumer it names.
func (l *loader) credential(o *fileObject, kind string, parent *Consumer) {
	if o == nil {
		return
	}
	k := credentialKinds[kind]
	o.known(commonFields, k.fields, []string{"consumer"})
	cred := Credential{Kind: kind, Tags: l.tags(o), Fields: map[string]any{}}
	for _, f := range k.fields {
		switch n := o.fields[f]; {
		case n == nil && slices.Contains(k.required, f):
			o.fail("", "%s: required field missing", f)
		case n == nil && slices.Contains(k.auto, f):
			cred.Fields[f] = rand.Text()
		case n == nil && k.defaults[f] != nil:
			cred.Fields[f] = k.defaults[f]
		case n == nil:
		case f == "ttl":
			cred.Fields[f] = o.integer(f, 0, 0, 100000000)
		case f == "hash_secret":
			cred.Fields[f] = o.boolean(f, false)
		case f == "redirect_uris":
			cred.Fields[f] = o.strings(f, "an array", func(string) string { return "" })
		default:
			cred.Fields[f] = o.str(f)
		}
	}
	l.times(o)
	add := func(c *Consumer) {
		key := ""
		switch {
		case k.key == "":
			group, _ := cred.Fields["group"].(string)
			key = kind + ":*:" + c.ID + ":" + group
		case !slices.Contains(k.auto, k.key):
			name, _ := cred.Fields[k.key].(string)
			key = kind + ":*:" + name
		}
		cred.ID = l.identify(o, kind, key)
		if value, ok := cred.Fields[k.key].(string); ok && o.has(k.key) {
			l.uniqueSecret(o, kind, k.key, value)
		}
		c.Credentials = append(c.Credentials, cred)
	}
	if parent != nil {
		l.nested(o, "consumer")
		add(parent)
		return
	}
	if !o.has("consumer") {
		o.fail("", "consumer: required field missing")
	}
	l.resolveConsumer(o, add)
}

// uniqueSecret is unique for a value that must not be printed.
func (l *loader) uniqueSecret(o *fileObject, kind, field, value string) {
	if l.ids[kind] == nil {
		l.ids[kind] = map[string]int{}
	}
	key := field + " " + value
	if line, ok := l.ids[kind][key]; ok {
		o.fail(field, "uniqueness violation: '%s' entity with the same %s already declared (line %d)", kind, field, line)
		return
	}
	l.ids[kind][key] = o.line
}
