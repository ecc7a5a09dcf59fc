// Package declarative reads Kong's declarative configuration, a kong.yml: it checks the file as Kong does, tells every
// mistake with its line, and fills in what Kong would. Nothing here runs; the gateway is given the outcome.
package declarative

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

// Load reads a file in Kong's declarative format (YAML or JSON). The error of a
// file with mistakes is Problems: all of them, each with its line.
func Load(file string) (*Config, error) {
	d, err := Draft(file)
	if err != nil {
		return nil, err
	}
	if err := d.mistakes.orNil(); err != nil {
		return nil, err
	}
	return d, nil
}

// Draft is Load for those who call CompletePlugins next: a file with mistakes is
// no error yet, CompletePlugins tells them together with those in the plugins'
// configurations, as Kong does. Until then what is wrong is missing.
func Draft(file string) (*Config, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; name a file in Kong's declarative format with -f", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w; name a file in Kong's declarative format with -f", err)
	}
	return parse(file, data)
}

// Mistakes are those of the file itself, nil or Problems; see Draft.
func (d *Config) Mistakes() error { return d.mistakes.orNil() }

// Parse is Load for content that is at hand; name stands in the error texts.
func Parse(name string, data []byte) (*Config, error) {
	d, err := parse(name, data)
	if err != nil {
		return nil, err
	}
	if err := d.mistakes.orNil(); err != nil {
		return nil, err
	}
	return d, nil
}

// parse fails only for what is no document at all.
func parse(name string, data []byte) (*Config, error) {
	doc, top := parseDocument(name, data)
	if top == nil {
		return nil, doc.problems.orNil()
	}
	l := &loader{
		doc: doc,
		out: &Config{},
		now: time.Now().Unix(),
		ids: map[string]map[string]int{},
	}
	l.load(top)
	l.out.Notes, l.out.mistakes = doc.notes, doc.problems
	return l.out, nil
}

// Kong's own entities that this gateway reads past, each with the reason.
var ignoredEntities = map[string]string{ // read-only
	"certificates":    "no TLS here",
	"ca_certificates": "no TLS here",
	"snis":            "no TLS here",
	"vaults":          "references are passed on as they are written",
	"keys":            "no plugin here asks for them",
	"key_sets":        "no plugin here asks for them",
	"filter_chains":   "no WebAssembly here",
	"workspaces":      "there is one workspace",
	"parameters":      "nothing here reads them",
}

// Fields that every entity may carry.
var commonFields = []string{"id", "tags", "created_at", "updated_at", "_comment", "_ignore"} // read-only

// loader turns a document into entities.
type loader struct {
	doc  *document
	out  *Config
	now  int64
	v3   bool                      // _format_version 3.0: paths say themselves that they are regexes
	ids  map[string]map[string]int // entity kind -> "id "+id or "name "+name -> line
	refs []func()                  // references to resolve when all entities are known
}

func (l *loader) load(top *fileObject) {
	known := []string{"_format_version", "_transform", "_comment", "_ignore", "services", "routes", "consumers", "plugins", "upstreams", "targets"}
	for name := range credentialKinds {
		known = append(known, name)
	}
	for name, why := range ignoredEntities {
		known = append(known, name)
		if line, ok := top.lines[name]; ok {
			l.doc.note(line, "%s: ignored, %s", name, why)
		}
	}
	slices.Sort(known)
	top.known(known)

	if !top.has("_format_version") {
		top.fail("", "_format_version: required field missing (write _format_version: \"3.0\")")
	} else if n := top.fields["_format_version"]; n != nil {
		if v, ok := stringValue(n); !ok {
			top.fail("_format_version", "expected a string (write \"3.0\" with quotes)")
		} else if !slices.Contains([]string{"1.1", "2.1", "3.0"}, v) {
			top.fail("_format_version", "expected one of: 1.1, 2.1, 3.0")
		} else {
			l.v3 = v == "3.0"
		}
	}
	top.boolean("_transform", true)
	if top.has("_transform") {
		l.doc.note(top.lines["_transform"], "_transform: ignored, credentials stay as written")
	}

	for _, e := range top.list("services", "an array") {
		l.service(e.object())
	}
	for _, e := range top.list("routes", "an array") {
		l.route(e.object(), nil)
	}
	for _, e := range top.list("consumers", "an array") {
		l.consumer(e.object())
	}
	for _, e := range top.list("upstreams", "an array") {
		l.upstream(e.object())
	}
	for _, e := range top.list("targets", "an array") {
		l.target(e.object(), nil)
	}
	for _, e := range top.list("plugins", "an array") {
		l.plugin(e.object(), pluginScope{})
	}
	for _, kind := range sortedKeys(credentialKinds) {
		for _, e := range top.list(kind, "an array") {
			l.credential(e.object(), kind, nil)
		}
	}
	for _, resolve := range l.refs {
		resolve()
	}
	l.uniquePlugins()
}

// identify gives an entity its id: the one it names, else Kong's version 5
// UUID of key, else (where Kong makes a random one) one of its place in the
// file, so that two runs agree.
func (l *loader) identify(o *fileObject, kind, key string) string {
	id := o.str("id")
	switch {
	case id != "" && !IsUUID(id):
		o.fail("id", "expected a valid UUID")
		id = EntityID(kind, "at "+o.at)
	case id == "" && key != "":
		id = EntityID(kind, key)
	case id == "":
		id = EntityID(kind, "at "+o.at)
	}
	l.unique(o, kind, "primary key", id)
	return id
}

// unique reports a second entity of a kind with the same value of a field.
func (l *loader) unique(o *fileObject, kind, field, value string) {
	if value == "" {
		return
	}
	if l.ids[kind] == nil {
		l.ids[kind] = map[string]int{}
	}
	key := field + " " + value
	if line, ok := l.ids[kind][key]; ok {
		o.fail("", "uniqueness violation: '%s' entity with %s set to '%s' already declared (line %d)", kind, field, Clip(value), line)
		return
	}
	l.ids[kind][key] = o.line
}

func (l *loader) tags(o *fileObject) []string {
	return o.strings("tags", "a set", checkTag)
}

// times reads created_at and updated_at; both are the time of loading when
// unset, as in Kong.
func (l *loader) times(o *fileObject) (created, updated int64) {
	const far = 1 << 40
	created = int64(o.integer("created_at", int(l.now), 0, far))
	updated = int64(o.integer("updated_at", int(l.now), 0, far))
	return created, updated
}

// reference is a field that names another entity: by name or id, or as
// {id: ...}. ok is false when it is unset or unreadable.
func (l *loader) reference(o *fileObject, name string) (ref string, ok bool) {
	n := o.fields[name]
	if n == nil {
		return "", false
	}
	if s, is := stringValue(n); is {
		return s, s != ""
	}
	if len(n.Content) > 0 && n.Content[0].Value == "id" {
		id := l.doc.object(n, o.field(name), 0)
		if id != nil {
			id.known([]string{"id"})
			ref = id.str("id")
		}
		return ref, ref != ""
	}
	o.fail(name, "expected a string: the name or the id of the %s", name)
	return "", false
}

// missing reports a reference to nothing.
func (l *loader) missing(o *fileObject, name, ref string, names []string) {
	o.fail(name, "invalid reference '%s: %s' (no such entry in '%ss')%s", name, Clip(ref), name, DidYouMean(ref, names))
}

func (l *loader) resolveService(o *fileObject, set func(*Service)) {
	ref, ok := l.reference(o, "service")
	if !ok {
		return
	}
	l.refs = append(l.refs, func() {
		var names []string
		for _, s := range l.out.Services {
			if s.Name == ref || s.ID == ref {
				set(s)
				return
			}
			names = append(names, s.Name)
		}
		l.missing(o, "service", ref, names)
	})
}

func (l *loader) resolveRoute(o *fileObject, set func(*Route)) {
	ref, ok := l.reference(o, "route")
	if !ok {
		return
	}
	l.refs = append(l.refs, func() {
		var names []string
		for _, r := range l.out.Routes {
			if r.Name == ref || r.ID == ref {
				set(r)
				return
			}
			names = append(names, r.Name)
		}
		l.missing(o, "route", ref, names)
	})
}

func (l *loader) resolveConsumer(o *fileObject, set func(*Consumer)) {
	ref, ok := l.reference(o, "consumer")
	if !ok {
		return
	}
	l.refs = append(l.refs, func() {
		var names []string
		for _, c := range l.out.Consumers {
			if c.Username == ref || c.ID == ref {
				set(c)
				return
			}
			names = append(names, c.Username)
		}
		l.missing(o, "consumer", ref, names)
	})
}

// nested reports a reference that the place in the file already answers.
func (l *loader) nested(o *fileObject, name string) {
	if o.has(name) {
		o.fail(name, "value must be null (the %s is the one it is written in)", name)
	}
}

// checkName is Kong's rule for names of services, routes, upstreams and
// plugin instances.
func checkName(s string) string {
	for _, r := range s {
		if r < 0x80 && !strings.ContainsRune(".-_~", r) && !isAlnum(byte(r)) {
			return fmt.Sprintf("invalid value '%s': the only accepted ascii characters are alphanumerics or ., -, _, and ~", Clip(s))
		}
	}
	return ""
}

func (o *fileObject) name(field string) string {
	v := o.str(field)
	if text := checkName(v); text != "" {
		o.fail(field, "%s", text)
	}
	return v
}

func checkTag(s string) string {
	for _, r := range s {
		if r < ' ' || r == ',' || r == '/' || r == 0x7f {
			return fmt.Sprintf("invalid tag '%s': expected printable ascii (except `,` and `/`) or valid utf-8 sequences", Clip(s))
		}
	}
	return ""
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
