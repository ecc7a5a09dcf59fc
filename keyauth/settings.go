package keyauth

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
	"kong-go-plugins/schema"
)

// settings is a checked configuration in the form that the handler uses. It is never changed.
type settings struct {
	names         []keyName
	manySpellings bool // one of them has too many to clear each
	inHeader      bool
	inQuery       bool
	inBody        bool
	scheme        string // with a space behind it, or ""
	hide          bool
	anonymous     string // id or username of a consumer, or ""
	preflight     bool   // OPTIONS requests need a key, too
	maxBody       int64
	answers       answers

	workspace string // Kong's id of it, or ""
	limit     limit
	prefixes  []string // of keys that have a checksum
	hasher    *key.Hasher
	inline    store.Chain   // the configuration's credentials
	stores    []sharedStore // that follow
	lastUsed  string        // path of the file that says when their keys were last used, or ""
	consumers times
	warnings  []string                // said once
	first     []pluginserver.Question // of every request
}

// A keyName is one of key_names.
type keyName struct {
	name      string   // in the query and in bodies
	header    string   // in lower case
	variable  string   // nginx's variable of the header
	spellings []string // of the header; nil when they are too many to clear each
}

// check turns the configuration into settings, or says everything that is wrong with it, each with its field.
func (c *Config) check() (*settings, error) {
	if c.decoded != nil {
		return nil, c.decoded // what the schema has found is not said twice
	}
	var wrong, more []error
	fail := func(field string, err error) {
		wrong = append(wrong, &schema.FieldError{Field: field, Text: err.Error()})
	}
	failed := func(err error) { // one that names the field
		field, text, _ := strings.Cut(err.Error(), ": ")
		fail(field, errors.New(text))
	}
	if c.scope.ConsumerID != "" {
		fail("consumer", errors.New("a key says who the consumer is: put the plugin on a service, a route, or everything"))
	}
	s := &settings{
		inHeader: c.KeyInHeader, inQuery: c.KeyInQuery, inBody: c.KeyInBody, hide: c.HideCredentials,
		anonymous: c.Anonymous, preflight: c.RunOnPreflight, maxBody: int64(c.MaxBodyBytes),
		workspace: c.scope.Workspace, lastUsed: c.gate.lastUsedPath(c.Snapshot),
		limit:     limit{c.Throttle.Failures, time.Duration(c.Throttle.WindowS) * time.Second, time.Duration(c.Throttle.PauseS) * time.Second},
		answers:   newAnswers(c.Compat, c.Realm),
		consumers: times{positive: millis(c.CacheTTLMS), negative: millis(c.NegativeTTLMS), stale: millis(c.StaleMS)},
	}
	for i, name := range c.KeyNames {
		if !isName(name) {
			fail(fmt.Sprintf("key_names[%d]", i), fmt.Errorf("bad header name '%s', allowed characters are A-Z, a-z, 0-9, '_', and '-'", name))
			continue
		}
		n := newKeyName(name)
		s.names, s.manySpellings = append(s.names, n), s.manySpellings || n.spellings == nil
	}
	if strings.ContainsFunc(c.Realm, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		fail("realm", errors.New("holds a control character, which no header can carry"))
	}
	if c.HeaderScheme != "" {
		s.scheme = c.HeaderScheme + " "
	}
	for i, prefix := range c.KeyPrefixes {
		if err := key.CheckPrefix(prefix); err != nil {
			fail(fmt.Sprintf("key_prefixes[%d]", i), errors.New(strings.TrimPrefix(err.Error(), "prefix: ")))
		}
	}
	s.prefixes = c.KeyPrefixes
	for _, f := range []struct{ field, path string }{{"file", c.File}, {"snapshot", c.Snapshot}} {
		if f.path != "" && !filepath.IsAbs(f.path) && !strings.HasPrefix(f.path, prefixWord+"/") {
			fail(f.field, fmt.Errorf("%q depends on the folder that Kong runs in; write the whole path, or %s/... for one below Kong's prefix", f.path, prefixWord))
		}
	}
	for i, name := range c.Stores {
		if slices.Contains(c.Stores[:i], name) {
			fail(fmt.Sprintf("stores[%d]", i), fmt.Errorf("%s is listed twice", name))
		}
	}
	hasher, err := key.NewHasher(c.Pepper, c.PreviousPeppers...)
	switch {
	case c.Pepper == "" && len(c.PreviousPeppers) > 0: // the field is pepper, as below
		fail("pepper", errors.New("it is missing, though there are previous_peppers; name the pepper in use, or remove the previous ones"))
	case err != nil:
		failed(err)
	default:
		s.hasher = hasher
	}
	var credentials []store.Credential
	for i, credential := range c.Credentials {
		entry, err := credential.entry()
		if err != nil {
			failed(fmt.Errorf("credentials[%d].%w", i, err))
		} else if hasher != nil && !hasher.Knows(entry.Hash) {
			// The field is pepper, because -validate may not know that yet.
			wrong = append(wrong, &schema.FieldError{Field: "pepper", Beside: []string{"previous_peppers"},
				Text: fmt.Sprintf("credentials[%d].digest is made with pepper %s, which is neither this one nor one of previous_peppers", i, entry.Hash.Pepper)})
		}
		credentials = append(credentials, entry)
	}
	if len(credentials) > 0 && !slices.Contains(c.Stores, "node") {
		fail("credentials", errors.New("not looked at, because stores does not name node; name it, or remove them"))
	}
	s.stores, more = c.sharedStores(hasher)
	for _, err := range more {
		failed(err)
	}
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}
	inline, err := store.NewInline(credentials)
	if err != nil {
		failed(err)
		return nil, errors.Join(wrong...)
	}
	s.inline = store.Chain{{Name: "credentials", Store: inline}}
	s.first = s.firstQuestions()
	if !c.KeyInHeader && !c.KeyInQuery && !c.KeyInBody {
		s.warnings = append(s.warnings, "key_in_header, key_in_query and key_in_body are all false: no key is looked for, and no request has one; set one of them to true")
	}
	if slices.ContainsFunc(c.IdentityRealms, func(r IdentityRealm) bool { return r.Scope != "cp" }) {
		s.warnings = append(s.warnings, "identity_realms: realms at Konnect are not asked; only keys of this plugin's stores count")
	}
	return s, nil
}

// entry reads a credential of the configuration. Its errors begin with the field, and do not repeat the digest, which may
// be a key in the wrong place.
func (c Credential) entry() (out store.Credential, err error) {
	stored, err := key.ParseStored(c.Digest)
	if err != nil {
		return out, fmt.Errorf("digest: %w", err)
	}
	e := store.Entry{
		ID: c.ID, ConsumerRef: c.Consumer, ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore, Disabled: c.Disabled,
		Groups: c.Groups, Scopes: c.Scopes, Hint: c.Hint,
	}
	if e.ID == "" {
		e.ID = credentialID(stored)
	}
	for i, text := range c.Scopes {
		if _, _, err := store.ParseScope(text); err != nil {
			return out, fmt.Errorf("scopes[%d]: %w", i, err)
		}
	}
	for i, text := range c.CIDRs {
		prefix, err := store.ParseNetwork(text)
		if err != nil {
			return out, fmt.Errorf("cidrs[%d]: %w", i, err)
		}
		e.CIDRs = append(e.CIDRs, prefix)
	}
	return store.Credential{Entry: e, Hash: stored}, nil
}

// credentialID is the id of a credential that has none: a UUID that stays the same, made of the digest and not giving it
// away.
func credentialID(s key.Stored) string {
	sum := sha256.Sum256([]byte("keyauth credential " + s.String()))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // version 8, of our own making
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// maxSpellings is how many spellings of a header's name are cleared one by one.
const maxSpellings = 4

// newKeyName prepares a name. A header can be spelled with "_" for "-" and the other way round: nginx's variable holds
// them all.
func newKeyName(name string) keyName {
	n := keyName{name: name, header: strings.ToLower(name)}
	n.variable = "http_" + strings.ReplaceAll(n.header, "-", "_")
	n.spellings = []string{n.header}
	for i := range len(n.header) {
		if n.header[i] != '-' && n.header[i] != '_' {
			continue
		}
		if len(n.spellings) == maxSpellings {
			n.spellings = nil
			break
		}
		for _, s := range n.spellings {
			other := []byte(s)
			other[i] = '-' + '_' - s[i]
			n.spellings = append(n.spellings, string(other))
		}
	}
	return n
}

// isName reports whether Kong takes a text for the name of a header.
func isName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// orNever says "never" for 0, in the way of CacheOptions.
func orNever(ms int) time.Duration {
	if ms == 0 {
		return -1
	}
	return millis(ms)
}
