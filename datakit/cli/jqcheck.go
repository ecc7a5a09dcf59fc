package cli

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/itchyny/gojq"
)

// A jqChecker follows shapes through a jq program and notes what cannot be meant. What it does not know is anything: it
// keeps quiet rather than warn of what is right.
type jqChecker struct {
	header func(name string) (string, bool)
	inputs *uses
	all    *shape // the node's input, whose keys are inputs
	quiet  int    // within ? and try
	found  []jqWarning
	names  map[string]bool // of headers that are looked up as they are written
}

// A jqWarning is about a piece of a program.
type jqWarning struct {
	piece, text string

	header string // the name that would be right; one that the program also tries is no mistake
}

type scope map[string]*shape // of variables

func (c *jqChecker) warn(piece, format string, args ...any) {
	c.note(jqWarning{piece: piece, text: fmt.Sprintf(format, args...)})
}

func (c *jqChecker) note(w jqWarning) {
	if c.quiet == 0 && !slices.Contains(c.found, w) {
		c.found = append(c.found, w)
	}
}

// use notes that something is done with a value as a whole.
func (c *jqChecker) use(s *shape) *shape {
	if s == c.all {
		c.inputs.all = true
	}
	return s
}

// query is the shape of what a query gives for an input.
func (c *jqChecker) query(q *gojq.Query, in *shape, vars scope) *shape {
	switch {
	case q == nil:
		return in
	case len(q.FuncDefs) > 0:
		c.inputs.all = true // a function may do anything with it
		if q.Term == nil && q.Right == nil {
			return in
		}
		rest := *q
		rest.FuncDefs = nil
		c.quiet++
		defer func() { c.quiet-- }()
		return withoutRoot(c, c.query(&rest, in, vars))
	case q.Term != nil:
		return c.term(q.Term, in, vars)
	case q.Right == nil:
		return in
	}
	switch q.Op {
	case gojq.OpPipe:
		left := c.query(q.Left, in, vars)
		if len(q.Patterns) == 0 {
			return c.query(q.Right, left, vars)
		}
		return c.query(q.Right, in, c.bind(q.Patterns, left, vars))
	case gojq.OpComma:
		return join(c.use(c.query(q.Left, in, vars)), c.use(c.query(q.Right, in, vars)))
	case gojq.OpAlt:
		left, right := c.query(q.Left, in, vars), c.query(q.Right, in, vars)
		if left.kind == "null" {
			return right
		}
		return join(c.use(left), c.use(right))
	case gojq.OpAssign, gojq.OpModify, gojq.OpUpdateAdd, gojq.OpUpdateSub, gojq.OpUpdateMul, gojq.OpUpdateDiv, gojq.OpUpdateMod, gojq.OpUpdateAlt:
		c.use(in)
		c.inputs.all = true
		if in.kind == "object" {
			return kindOf("object")
		}
		return anything
	}
	left, right := c.use(c.query(q.Left, in, vars)), c.use(c.query(q.Right, in, vars))
	switch q.Op {
	case gojq.OpAdd:
		return plus(left, right, false)
	case gojq.OpMul:
		if left.kind == "object" {
			return plus(left, right, true)
		}
	case gojq.OpEq, gojq.OpNe, gojq.OpGt, gojq.OpLt, gojq.OpGe, gojq.OpLe, gojq.OpAnd, gojq.OpOr:
		return kindOf("boolean")
	case gojq.OpSub, gojq.OpDiv, gojq.OpMod:
	}
	if left.kind == "number" && right.kind == "number" {
		return left
	}
	return anything
}

// withoutRoot makes sure that the node's input is not followed any further.
func withoutRoot(c *jqChecker, s *shape) *shape {
	if s == c.all {
		return anything
	}
	return s
}

// bind adds the variables of `as` patterns.
func (c *jqChecker) bind(patterns []*gojq.Pattern, s *shape, vars scope) scope {
	bound := scope{}
	for name, v := range vars {
		bound[name] = v
	}
	if len(patterns) == 1 && patterns[0].Name != "" {
		bound[patterns[0].Name] = s
		return bound
	}
	c.use(s)
	var forget func(p *gojq.Pattern)
	forget = func(p *gojq.Pattern) {
		if p == nil {
			return
		}
		if p.Name != "" {
			bound[p.Name] = anything
		}
		for _, e := range p.Array {
			forget(e)
		}
		for _, e := range p.Object {
			if strings.HasPrefix(e.Key, "$") {
				bound[e.Key] = anything
			}
			forget(e.Val)
		}
	}
	for _, p := range patterns {
		forget(p)
	}
	return bound
}

func (c *jqChecker) term(t *gojq.Term, in *shape, vars scope) *shape {
	quiet := len(t.SuffixList) > 0 && t.SuffixList[0].Optional
	if quiet {
		c.quiet++
	}
	s := c.head(t, in, vars)
	if quiet {
		c.quiet--
	}
	for i, suffix := range t.SuffixList {
		switch {
		case suffix.Index != nil:
			optional := i+1 < len(t.SuffixList) && t.SuffixList[i+1].Optional
			if optional {
				c.quiet++
			}
			s = c.index(suffix.Index, s, in, vars)
			if optional {
				c.quiet--
			}
		case suffix.Iter:
			c.use(s)
			s = anything
		}
	}
	return s
}

// head is the shape of a term without its suffixes.
func (c *jqChecker) head(t *gojq.Term, in *shape, vars scope) *shape {
	switch t.Type {
	case gojq.TermTypeIdentity:
		return in
	case gojq.TermTypeNull:
		return kindOf("null")
	case gojq.TermTypeTrue, gojq.TermTypeFalse:
		return kindOf("boolean")
	case gojq.TermTypeNumber:
		return kindOf("number")
	case gojq.TermTypeIndex:
		return c.index(t.Index, in, in, vars)
	case gojq.TermTypeFunc:
		return c.function(t.Func, in, vars)
	case gojq.TermTypeObject:
		return c.object(t.Object, in, vars)
	case gojq.TermTypeArray:
		if t.Array.Query != nil {
			c.use(c.query(t.Array.Query, in, vars))
		}
		return kindOf("array")
	case gojq.TermTypeUnary:
		c.use(c.term(t.Unary.Term, in, vars))
		return kindOf("number")
	case gojq.TermTypeFormat, gojq.TermTypeString:
		if t.Format != "" {
			c.use(in)
		}
		if t.Str != nil {
			for _, q := range t.Str.Queries {
				c.use(c.query(q, in, vars))
			}
		}
		return kindOf("string")
	case gojq.TermTypeIf:
		return c.choice(t.If, in, vars)
	case gojq.TermTypeTry:
		c.quiet++
		s := c.use(c.query(t.Try.Body, in, vars))
		c.quiet--
		if t.Try.Catch != nil {
			return anything
		}
		return s
	case gojq.TermTypeQuery:
		return c.query(t.Query, in, vars)
	}
	c.use(in) // loops and the like
	c.inputs.all = true
	return anything
}

func (c *jqChecker) choice(f *gojq.If, in *shape, vars scope) *shape {
	c.use(c.query(f.Cond, in, vars))
	s := c.query(f.Then, in, vars)
	for _, e := range f.Elif {
		c.use(c.query(e.Cond, in, vars))
		s = join(c.use(s), c.use(c.query(e.Then, in, vars)))
	}
	return join(c.use(s), c.use(c.query(f.Else, in, vars)))
}

func (c *jqChecker) object(o *gojq.Object, in *shape, vars scope) *shape {
	s := &shape{kind: "object", closed: true, keys: map[string]*shape{}}
	for _, kv := range o.KeyVals {
		name, known := kv.Key, kv.Key != ""
		if kv.KeyString != nil {
			name, known = kv.KeyString.Str, len(kv.KeyString.Queries) == 0
			for _, q := range kv.KeyString.Queries {
				c.use(c.query(q, in, vars))
			}
		}
		if kv.KeyQuery != nil {
			c.use(c.query(kv.KeyQuery, in, vars))
		}
		var v *shape
		switch {
		case kv.Val != nil:
			v = c.use(c.query(kv.Val, in, vars))
		case strings.HasPrefix(name, "$"):
			v = c.use(c.variable(name, vars))
			name = name[1:]
		case known:
			v = c.use(c.lookUp(name, in))
		}
		if known && v != nil {
			s.keys[name] = v
		} else {
			s.closed = false
			c.use(in)
		}
	}
	return s
}

func (c *jqChecker) variable(name string, vars scope) *shape {
	if s := vars[name]; s != nil {
		if s.uses != nil {
			s.uses.keys[name[1:]] = true
		}
		return s
	}
	return anything
}

// constant is the text of a query that is nothing but a string.
func constant(q *gojq.Query) (string, bool) {
	if q == nil || q.Term == nil || q.Term.Type != gojq.TermTypeString || len(q.Term.SuffixList) > 0 || len(q.FuncDefs) > 0 || q.Term.Str == nil ||
		len(q.Term.Str.Queries) > 0 {
		return "", false
	}
	return q.Term.Str.Str, true
}

// index is the shape of a member of s.
func (c *jqChecker) index(x *gojq.Index, s, in *shape, vars scope) *shape {
	switch {
	case x.Name != "":
		return c.lookUp(x.Name, s)
	case x.Str != nil && len(x.Str.Queries) == 0:
		return c.lookUp(x.Str.Str, s)
	case !x.IsSlice:
		if name, ok := constant(x.Start); ok {
			return c.lookUp(name, s)
		}
	}
	c.use(s)
	for _, q := range []*gojq.Query{x.Start, x.End} {
		if q != nil {
			c.use(c.query(q, in, vars))
		}
	}
	if x.Str != nil {
		c.use(in)
	}
	return anything
}

// lookUp is the shape of a member by name. It warns of names that are never there.
func (c *jqChecker) lookUp(name string, s *shape) *shape {
	if s == c.all {
		c.inputs.keys[name] = true
	}
	what := s.of
	if what == "" {
		what = "this value"
	}
	switch s.kind {
	case "string", "number", "boolean", "array":
		c.warn(name, ".%s: %s is %s, which has no fields", short(name), what, article(s.kind))
		return anything
	case "object":
	default:
		return anything
	}
	if s.headers {
		if written, found := c.header(name); found {
			c.names[written] = true
		} else {
			text := fmt.Sprintf(".%s: never there; received headers have names such as %s, and jq looks at the case", short(name), written)
			c.note(jqWarning{name, text, written})
		}
		return anything
	}
	if next := s.keys[name]; next != nil {
		return next
	}
	if s.closed {
		if s == c.all {
			c.warn(name, ".%s: there is no such input; the inputs are %s", short(name), strings.Join(s.keyNames(), ", "))
		} else if len(s.keys) > 0 {
			c.warn(name, ".%s: %s has no such field; it has %s", short(name), what, short(strings.Join(s.keyNames(), ", ")))
		}
	}
	return anything
}

func article(kind string) string {
	if kind == "array" {
		return "an array"
	}
	return "a " + kind
}

// results are what functions give, whatever goes in.
var results = map[string]string{ // read-only
	"not": "boolean", "has": "boolean", "test": "boolean", "startswith": "boolean", "endswith": "boolean", "contains": "boolean", "inside": "boolean",
	"any": "boolean", "all": "boolean", "in": "boolean", "isnan": "boolean", "isinfinite": "boolean", "isvalid": "boolean",
	"length": "number", "utf8bytelength": "number", "tonumber": "number", "now": "number", "floor": "number", "ceil": "number", "round": "number", "sqrt": "number",
	"fromdate": "number", "fromdateiso8601": "number", "mktime": "number",
	"tostring": "string", "tojson": "string", "ascii_downcase": "string", "ascii_upcase": "string", "join": "string", "sub": "string", "gsub": "string",
	"ltrimstr": "string", "rtrimstr": "string", "trim": "string", "ltrim": "string", "rtrim": "string", "type": "string", "todate": "string", "todateiso8601": "string", "implode": "string",
	"strftime": "string", "keys": "array", "keys_unsorted": "array", "to_entries": "array", "split": "array", "map": "array", "sort": "array", "sort_by": "array",
	"unique": "array", "unique_by": "array", "group_by": "array", "reverse": "array", "explode": "array", "toarray": "array",
	"with_entries": "object", "from_entries": "object", "del": "object", "capture": "object",
}

// ofElements are the functions whose arguments look at parts of the input.
var ofElements = []string{ // read-only
	"map", "map_values", "with_entries", "any", "all", "sort_by", "group_by", "unique_by", "min_by", "max_by", "recurse", "walk", "del", "paths", "path",
	"to_entries", "first", "last", "limit", "until", "while", "repeat", "range", "reduce", "env", "pick", "delpaths", "getpath", "setpath", "sub", "gsub",
	"input", "splits", "ltrimstr", "IN", "INDEX", "isempty", "error", "label", "foreach", "add", "skip", "nth", "debug", "scan", "capture", "match",
}

// patterned are the functions whose first argument is a regular expression; split's is one when it has two.
var patterned = []string{"test", "match", "capture", "scan", "splits", "sub", "gsub"} // read-only

func (c *jqChecker) function(f *gojq.Func, in *shape, vars scope) *shape {
	if strings.HasPrefix(f.Name, "$") {
		return c.variable(f.Name, vars)
	}
	if slices.Contains(patterned, f.Name) || f.Name == "split" && len(f.Args) == 2 {
		if text, ok := constant(f.Args[0]); ok && len(f.Args) > 0 {
			if _, err := regexp.Compile(text); err != nil {
				c.warn(text, "%s: the regular expression fails on every request: %s; there is no look-around and no back-reference (RE2)", f.Name, reason(err))
			}
		}
	}
	if f.Name == "select" && len(f.Args) == 1 {
		c.use(c.query(f.Args[0], in, vars))
		return in
	}
	c.use(in)
	elements := slices.Contains(ofElements, f.Name)
	for _, a := range f.Args {
		of := in
		if elements || results[f.Name] == "" {
			of = anything
		}
		c.use(c.query(a, of, vars))
	}
	if len(f.Args) > 0 && (elements || results[f.Name] == "") {
		c.inputs.all = c.inputs.all || in == c.all
	}
	if kind := results[f.Name]; kind != "" && !(kind == "object" && in.kind != "object" && f.Name == "del") {
		return kindOf(kind)
	}
	return anything
}

func reason(err error) string { return strings.TrimPrefix(err.Error(), "error parsing regexp: ") }

// short keeps messages readable.
func short(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
