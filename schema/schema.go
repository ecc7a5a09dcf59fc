// Package schema holds one declaration of a plugin's configuration and makes every other form from it: the description
// that Kong reads (the dump), the schema.lua that a Konnect control plane takes, a JSON Schema for editors, the
// parameter table of the documentation, the defaults, and the validation, in Kong's own words.
//
// The rules are those of Kong Gateway 3.9. Nothing in a declaration can stop Kong from starting: see [Plugin.Check].
package schema

// A Type is the type of a field, by Kong's name.
type Type string

// The types that a field can have. Integer and Number are both doubles in Kong; JSON needs Kong 3.5.
const (
	String  Type = "string"
	Number  Type = "number"
	Integer Type = "integer"
	Boolean Type = "boolean"
	Array   Type = "array"
	Set     Type = "set"
	Map     Type = "map"
	Record  Type = "record"
	JSON    Type = "json"
	Foreign Type = "foreign"
)

// A Plugin declares the configuration of one plugin. It is plain data: never changed after it was declared, and safe
// for concurrent use. The zero value is a plugin without settings.
type Plugin struct {
	// Name is the default name of the plugin; every form can be written for another one.
	Name string
	// Protocols are those that a configuration may list. Nil means grpc, grpcs, http and https.
	Protocols []string
	// DefaultProtocols is the list of a configuration that names none. Nil means all of Protocols.
	DefaultProtocols []string
	// Fields are the fields of `config`, in the order of every generated form.
	Fields []Field
	// Checks are rules over several fields of `config`.
	Checks []Check
	// TopChecks are rules over the whole entity; their field paths begin with "config.".
	TopChecks []Check
	// Forbidden names the scopes (consumer, route, service) that a configuration must not have. Plugins of this
	// project forbid none; it is read from the dumps of others.
	Forbidden []string
}

// A Field declares one field of a record or, without a name, the elements, keys or values of a collection. Attributes
// mean what Kong means by them; those that are unset are not written.
type Field struct {
	Name string
	Type Type

	// Description is told to Kong 3.4 and later, which wants 10 to 500 characters.
	Description string
	// Doc continues Description in the documentation and the JSON Schema only. It is Markdown.
	Doc string
	// Unit is the unit of a number, for instance "ms" or "bytes": documentation only.
	Unit string

	// Required and Optional write `required`. Without either a record directly below config (or below such a record)
	// is required, and everything else is not.
	Required, Optional bool
	// Default is a plain Go value. It is the only place where the default is written.
	Default any

	Elements *Field  // array, set
	Keys     *Field  // map
	Values   *Field  // map
	Fields   []Field // record
	Checks   []Check // record

	Between                  []float64 // lower and upper limit, both allowed
	Gt                       *float64
	Eq, Ne                   any // Null{} means Kong's null
	OneOf, NotOneOf          []any
	LenEq, LenMin, LenMax    *int   // a string without LenMin must not be empty
	Match, NotMatch          string // Lua patterns
	MatchAll, MatchNone      []Pattern
	MatchAny                 *Patterns
	StartsWith               string
	Contains                 any
	IsRegex, UUID, Timestamp bool
	MutuallyExclusiveSubsets [][]string
	// Err replaces the text of the validators above.
	Err string

	// Referenceable fields take vault references ({vault://env/name}), which Kong resolves.
	Referenceable bool
	// Encrypted fields hold secrets: no message shows their value.
	Encrypted bool

	// JSONSchema is the inline draft-4 schema of a field of type json.
	JSONSchema map[string]any
	// Examples are told to Kong 3.6 and later.
	Examples []any
	// Deprecation is told to Kong 3.7 and later, which warns when the field is used.
	Deprecation *Deprecation
	// Reference is the entity of a foreign field.
	Reference string
	// Extra holds attributes of other plugins' dumps that Kong accepts and that change nothing here.
	Extra map[string]any
}

// A Pattern is a Lua pattern with the text to show when it is not met.
type Pattern struct {
	Pattern string
	Err     string
}

// Patterns are Lua patterns of which one must match, with the text to show when none does.
type Patterns struct {
	Patterns []string
	Err      string
}

// Deprecation says what replaces a field.
type Deprecation struct {
	Message          string
	RemovalInVersion string
	OldDefault       any // no warning for this value; nil warns always
	ReplacedWith     [][]string
}

// A Check is a rule over several fields; exactly one member is set. Field names may be paths with dots.
type Check struct {
	AtLeastOneOf            []string
	OnlyOneOf               []string
	Distinct                []string
	MutuallyRequired        []string
	MutuallyExclusive       []string
	MutuallyExclusiveSets   *ExclusiveSets
	Conditional             *Conditional
	ConditionalAtLeastOneOf *ConditionalAtLeastOneOf
}

// ExclusiveSets are two groups of fields that cannot be used together.
type ExclusiveSets struct {
	Set1, Set2 []string
}

// A Conditional checks ThenField against ThenMatch whenever IfField meets IfMatch. The matches carry validators and
// Required only; what they leave out is taken from the field's own declaration.
type Conditional struct {
	IfField   string
	IfMatch   Field
	ThenField string
	ThenMatch Field
	ThenErr   string
}

// A ConditionalAtLeastOneOf wants one of some fields set whenever IfField meets IfMatch, or else one of others whenever
// it meets ElseMatch.
type ConditionalAtLeastOneOf struct {
	IfField              string
	IfMatch              Field
	ThenAtLeastOneOf     []string
	ThenErr              string
	ElseMatch            *Field
	ElseThenAtLeastOneOf []string
	ElseThenErr          string
}

// Null is Kong's null as the value of Eq and Ne.
type Null struct{}

// httpProtocols are the protocols of a plugin that declares none.
func httpProtocols() []string { return []string{"grpc", "grpcs", "http", "https"} }

// allProtocols are those that Kong knows.
func allProtocols() []string {
	return []string{"grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp"}
}

// protocols returns the allowed and the default protocols.
func (p Plugin) protocols() (allowed, defaults []string) {
	allowed = p.Protocols
	if allowed == nil {
		allowed = httpProtocols()
	}
	defaults = p.DefaultProtocols
	if defaults == nil {
		defaults = allowed
	}
	return allowed, defaults
}

// config is the record that holds the plugin's fields.
func (p Plugin) config() *Field {
	return &Field{Name: "config", Type: Record, Required: true, Fields: p.Fields, Checks: p.Checks}
}

// field returns the declaration below f that a path with dots names, or nil.
func (f *Field) field(path []string) *Field {
	if len(path) == 0 {
		return f
	}
	for i := range f.Fields {
		if f.Fields[i].Name == path[0] {
			return f.Fields[i].field(path[1:])
		}
	}
	return nil
}
