package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kong-go-plugins/keyauth/key"
)

type kongFile struct {
	Format    yaml.Node      `yaml:"_format_version"`
	Consumers []kongConsumer `yaml:"consumers"`
	Keys      []yaml.Node    `yaml:"keyauth_credentials"`
}

type kongConsumer struct {
	ID        string      `yaml:"id"`
	Username  string      `yaml:"username"`
	CustomID  string      `yaml:"custom_id"`
	Tags      []string    `yaml:"tags"`
	CreatedAt int64       `yaml:"created_at"`
	UpdatedAt int64       `yaml:"updated_at"`
	Keys      []yaml.Node `yaml:"keyauth_credentials"`
}

type kongKey struct {
	ID        string    `yaml:"id"`
	Key       yaml.Node `yaml:"key"`
	Consumer  yaml.Node `yaml:"consumer"` // id or username, or {id} or {username}
	Tags      []string  `yaml:"tags"`
	TTL       *int64    `yaml:"ttl"`
	CreatedAt int64     `yaml:"created_at"`

	// ours
	KeyHash   string   `yaml:"key_hash"`
	ExpiresAt int64    `yaml:"expires_at"`
	NotBefore int64    `yaml:"not_before"`
	Disabled  bool     `yaml:"disabled"`
	Groups    []string `yaml:"groups"`
	Scopes    []string `yaml:"scopes"`
	CIDRs     []string `yaml:"cidrs"`
	Hint      string   `yaml:"hint"`
}

var keyFields = []string{ // read-only
	"id", "key", "consumer", "tags", "ttl", "created_at",
	"key_hash", "expires_at", "not_before", "disabled", "groups", "scopes", "cidrs", "hint",
}

var formats = []string{"1.1", "2.1", "3.0"} // read-only

// ParseDeclarative reads Kong's declarative format, YAML or JSON. Consumers without an id are not returned, since only Kong knows their
// ids: their keys refer to them by username. refused says which keys are left out, because it is not clear whether they
// have expired; err, why nothing of the file can be used. Neither repeats a key.
func ParseDeclarative(text []byte, hasher *key.Hasher) (consumers []Consumer, credentials []Credential, refused, err error) {
	if trimmed := bytes.TrimLeft(text, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '{' {
		text = bytes.ReplaceAll(text, []byte{'\t'}, []byte{' '}) // YAML allows no tabs; JSON none in strings
	}
	p := declarative{hasher: hasher, names: map[string]Consumer{}, lines: map[key.Digest]int{}, ids: map[string]int{}}
	var f kongFile
	if err := yaml.Unmarshal(text, &f); err != nil {
		return nil, nil, nil, plainYAML(err)
	}
	if !slices.Contains(formats, f.Format.Value) {
		return nil, nil, nil, fmt.Errorf(`_format_version: want "3.0" (or "2.1" or "1.1") at the top of the file`)
	}
	for i, c := range f.Consumers {
		p.consumer(fmt.Sprintf("consumers[%d]", i), c)
	}
	for i, c := range f.Consumers {
		for j := range c.Keys {
			p.key(fmt.Sprintf("consumers[%d].keyauth_credentials[%d]", i, j), &c.Keys[j], &c)
		}
	}
	for i := range f.Keys {
		p.key(fmt.Sprintf("keyauth_credentials[%d]", i), &f.Keys[i], nil)
	}
	if err := errors.Join(p.wrong...); err != nil {
		return nil, nil, nil, err
	}
	return p.consumers, p.credentials, errors.Join(p.refused...), nil
}

// declarative collects what a file says.
type declarative struct {
	hasher      *key.Hasher
	consumers   []Consumer
	credentials []Credential
	names       map[string]Consumer // by id and by username
	lines       map[key.Digest]int
	ids         map[string]int
	wrong       []error
	refused     []error
}

func (p *declarative) bad(format string, args ...any) {
	p.wrong = append(p.wrong, fmt.Errorf(format, args...))
}

func (p *declarative) consumer(field string, k kongConsumer) {
	if k.ID == "" && k.Username == "" {
		if k.CustomID == "" || len(k.Keys) > 0 {
			p.bad("%s: it has neither id nor username, by which its keys could name it; write its id (deck gateway dump --with-id shows it), or a username", field)
		}
		return
	}
	c := Consumer{ID: k.ID, Username: k.Username, CustomID: k.CustomID, Tags: k.Tags, CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt}
	for _, name := range []struct{ field, value string }{{"id", k.ID}, {"username", k.Username}} {
		if _, ok := p.names[name.value]; ok && name.value != "" {
			p.bad("%s.%s: %q stands in the file twice; remove one", field, name.field, name.value)
		}
	}
	for _, name := range []string{k.ID, k.Username} {
		if name != "" {
			p.names[name] = c
		}
	}
	if k.ID != "" {
		p.consumers = append(p.consumers, c)
	}
}

// key reads one credential; owner is the consumer that it stands below, if any.
func (p *declarative) key(field string, n *yaml.Node, owner *kongConsumer) {
	at := fmt.Sprintf("line %d: %s", n.Line, field)
	var k kongKey
	if err := n.Decode(&k); err != nil {
		p.bad("%s: %w", at, plainYAML(err))
		return
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	for i := 0; i+1 < len(n.Content) && n.Kind == yaml.MappingNode; i += 2 {
		if name := n.Content[i].Value; name != "<<" && !slices.Contains(keyFields, name) {
			p.bad("%s: a field is unknown; want some of %s", at, strings.Join(keyFields, ", "))
			return
		}
	}
	c := Credential{Entry: Entry{
		ID: k.ID, ExpiresAt: k.ExpiresAt, NotBefore: k.NotBefore, CreatedAt: k.CreatedAt, Disabled: k.Disabled,
		Groups: k.Groups, Scopes: k.Scopes, Hint: k.Hint, Tags: k.Tags,
	}}
	if err := errors.Join(p.hash(&c, k), p.owner(&c, k, owner), cidrs(&c, k.CIDRs), scopes(k.Scopes)); err != nil {
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			p.bad("%s.%w", at, e)
		}
		return
	}
	if k.ExpiresAt < 0 || k.NotBefore < 0 || k.CreatedAt < 0 {
		p.bad("%s: expires_at, not_before and created_at are seconds since 1970, not negative", at)
	}
	if first, ok := p.lines[c.Hash.Digest]; ok {
		p.bad("%s.key: it is the key of line %d too; a key has one owner", at, first)
		return
	}
	p.lines[c.Hash.Digest] = n.Line
	if c.ID == "" {
		c.ID = derivedID(c.Hash.Digest)
	}
	if first, ok := p.ids[c.ID]; ok {
		p.bad("%s.id: it is the id of line %d too", at, first)
		return
	}
	p.ids[c.ID] = n.Line
	if k.TTL != nil && *k.TTL != 0 {
		switch {
		case *k.TTL < 0:
			p.bad("%s.ttl: %d is negative; want 0, or the second since 1970 at which the key ends", at, *k.TTL)
			return
		case *k.TTL <= 1e9:
			p.refused = append(p.refused, fmt.Errorf("%s.ttl: %d may mean seconds from some moment or the year %d; this key is left out: "+
				"write expires_at with the second since 1970 at which it ends", at, *k.TTL, 1970+*k.TTL/31556952))
			return
		case c.ExpiresAt == 0 || *k.TTL < c.ExpiresAt:
			c.ExpiresAt = *k.TTL
		}
	}
	p.credentials = append(p.credentials, c)
}

func (p *declarative) hash(c *Credential, k kongKey) (err error) {
	switch {
	case k.Key.IsZero() && k.KeyHash == "":
		return errors.New("key: it is missing; write key, or key_hash with its digest")
	case !k.Key.IsZero() && k.KeyHash != "":
		return errors.New("key_hash: there is a key too; keep one of them")
	case k.KeyHash != "":
		if c.Hash, err = key.ParseStored(k.KeyHash); err != nil {
			return fmt.Errorf("key_hash: %w", err)
		}
		if !p.hasher.Knows(c.Hash) {
			return fmt.Errorf("key_hash: no configured pepper has the id %s; add that pepper to previous_peppers", c.Hash.Pepper)
		}
		return nil
	}
	n := &k.Key
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" || n.Value == "" {
		return errors.New("key: want text of at least one character; put it in quotes")
	}
	if isPlaceholder(n.Value) {
		return errors.New("key: it is a placeholder of decK, ${{ env ... }} or DECK_..., that was not filled in; write the file with its values first: deck file render --populate-env-vars")
	}
	c.Hash, c.Also = p.hasher.Hash([]byte(n.Value)), p.hasher.Also([]byte(n.Value))
	c.Weak = key.Weakness(n.Value) != ""
	if c.Hint == "" {
		c.Hint = key.Hint(n.Value)
	}
	return nil
}

// isPlaceholder says whether decK would put a value of its environment in place of the text, or has put the variable's name
// there, as it does unless told otherwise: as a key, either could be guessed.
func isPlaceholder(text string) bool {
	if name, ok := strings.CutPrefix(text, "DECK_"); ok {
		return strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == ""
	}
	_, behind, open := strings.Cut(text, "${{")
	inside, _, end := strings.Cut(behind, "}}")
	return open && end && strings.Contains(inside, "env")
}

func (p *declarative) owner(c *Credential, k kongKey, owner *kongConsumer) error {
	ref := ""
	if !k.Consumer.IsZero() {
		var by struct{ ID, Username string }
		if err := k.Consumer.Decode(&ref); err != nil && k.Consumer.Decode(&by) == nil {
			if ref = by.ID; ref == "" {
				ref = by.Username
			}
		}
	}
	switch {
	case owner == nil && ref == "":
		return errors.New("consumer: it is missing; write the consumer's id or username, or put the key below its consumer")
	case owner != nil && ref != "" && ref != owner.ID && ref != owner.Username:
		return errors.New("consumer: it is not the consumer that the key stands below")
	case owner != nil && owner.ID != "":
		ref = owner.ID
	case owner != nil:
		ref = owner.Username
	}
	consumer, ok := p.names[ref]
	switch {
	case ok && consumer.ID != "":
		c.Consumer = consumer
	case ok:
		c.ConsumerRef = consumer.Username
	default:
		c.ConsumerRef = ref
	}
	return nil
}

func cidrs(c *Credential, texts []string) error {
	for i, text := range texts {
		cidr, err := ParseNetwork(text)
		if err != nil {
			return fmt.Errorf("cidrs[%d]: %w", i, err)
		}
		c.CIDRs = append(c.CIDRs, cidr)
	}
	return nil
}

func scopes(texts []string) error {
	for i, text := range texts {
		if _, _, err := ParseScope(text); err != nil {
			return fmt.Errorf("scopes[%d]: %w", i, err)
		}
	}
	return nil
}

// derivedID is a UUID for a credential without an id, the same each time that the file is read. It is of version 8,
// which is for ids of one's own making, and does not give the digest away.
func derivedID(d key.Digest) string {
	s := sha256.Sum256(append([]byte("keyauth_credentials:"), d[:]...))
	s[6], s[8] = s[6]&0x0f|0x80, s[8]&0x3f|0x80
	h := hex.EncodeToString(s[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// plainYAML is err without the values that the library quotes, which could be keys.
func plainYAML(err error) error {
	var typ *yaml.TypeError
	if !errors.As(err, &typ) {
		text := strings.TrimPrefix(err.Error(), "yaml: ")
		if strings.Contains(text, "unknown anchor") {
			text = "an alias has no anchor"
		}
		return fmt.Errorf("it is neither YAML nor JSON: %s", text)
	}
	var errs []error
	for _, text := range typ.Errors { // line 4: cannot unmarshal !!str `SECRET` into int64
		if open := strings.IndexByte(text, '`'); open >= 0 {
			if end := strings.LastIndexByte(text, '`'); end > open {
				text = text[:open] + "a value" + text[end+1:]
			}
		}
		if strings.Contains(text, "already defined at line") {
			text = "line" + strings.TrimPrefix(text[:strings.Index(text, ":")], "line") + ": a field stands there twice"
		}
		errs = append(errs, errors.New(text))
	}
	return errors.Join(errs...)
}
