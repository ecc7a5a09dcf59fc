package declarative

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Bounds of a configuration file. They are far above any real file and keep a
// hostile one from costing more than a moment.
const (
	maxFileBytes = 16 << 20
	maxNesting   = 64      // nesting of values
	maxValues    = 500_000 // values after aliases are followed
)

// A document is a YAML or JSON file being read: it hands out values by field
// and collects every mistake.
type document struct {
	file     string
	problems Problems
	notes    []string
	values   int // handed out so far, against maxValues
	lines    int // of the file; no problem is behind the last one
}

// A fileObject is one mapping of a document.
type fileObject struct {
	doc    *document
	at     string // path, "" for the top
	line   int
	keys   []string
	fields map[string]*yaml.Node // aliases followed, nulls left out
	lines  map[string]int        // of the keys
}

// parseDocument reads the first document of data. The object is nil when there is
// nothing that can be read on; then a problem says why.
func parseDocument(file string, data []byte) (*document, *fileObject) {
	d := &document{file: file, lines: 1 + bytes.Count(bytes.TrimRight(data, "\n"), []byte("\n"))}
	if len(data) > maxFileBytes {
		d.problem(0, "", "the file is larger than %d bytes; split it", maxFileBytes)
		return d, nil
	}
	if !utf8.Valid(data) {
		d.problem(1+bytes.Count(data[:validPrefix(data)], []byte("\n")), "", "not UTF-8; save the file as UTF-8")
		return d, nil
	}
	var root yaml.Node
	if err := decodeYAML(data, &root); err != nil {
		if errors.Is(err, io.EOF) {
			d.problem(1, "", "the file is empty; it needs at least _format_version: \"3.0\"")
			return d, nil
		}
		line, text := yamlError(err)
		d.problem(line, "", "not valid YAML: %s", text)
		return d, nil
	}
	node := &root
	if node.Kind == yaml.DocumentNode {
		node = node.Content[0]
	}
	return d, d.object(node, "", 0)
}

// decodeYAML reads the first document. The library panics on some broken
// input; that is an error like any other here.
func decodeYAML(data []byte, into *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return yaml.NewDecoder(bytes.NewReader(data)).Decode(into)
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

func yamlError(err error) (line int, text string) {
	s := err.Error()
	m := yamlLine.FindStringSubmatch(s)
	if m == nil {
		return 1, s
	}
	line = 1
	if m[1] != "" {
		line, _ = strconv.Atoi(m[1])
	}
	return line, s[len(m[0]):]
}

func validPrefix(data []byte) int {
	n := 0
	for n < len(data) {
		r, size := utf8.DecodeRune(data[n:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		n += size
	}
	return n
}

func (d *document) problem(line int, field, format string, args ...any) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, Problem{File: d.file, Line: min(line, d.lines), Field: field, Text: fmt.Sprintf(format, args...)})
	}
}

// note records something that is read but has no effect here.
func (d *document) note(line int, format string, args ...any) {
	if len(d.notes) < maxProblems {
		d.notes = append(d.notes, fmt.Sprintf("%s:%d: ", d.file, line)+fmt.Sprintf(format, args...))
	}
}

// count reports whether one more value may be read.
func (d *document) count(line int, field string) bool {
	d.values++
	if d.values == maxValues+1 {
		d.problem(line, field, "the file holds more than %d values once its aliases are followed; make it smaller", maxValues)
	}
	return d.values <= maxValues
}

// followAlias returns the value of an alias, nil for null.
func followAlias(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		return nil
	}
	return n
}

// object reads a mapping, nil when n is none (which is then a problem).
func (d *document) object(n *yaml.Node, at string, depth int) *fileObject {
	line := 1
	if n != nil {
		line = n.Line
	}
	if !d.count(line, at) {
		return nil
	}
	n = followAlias(n)
	if n == nil || n.Kind != yaml.MappingNode {
		d.problem(line, at, "expected a record")
		return nil
	}
	o := &fileObject{doc: d, at: at, line: line, fields: map[string]*yaml.Node{}, lines: map[string]int{}}
	o.add(n, depth, false)
	return o
}

// add takes the fields of n over; those of a merge key ("<<") give way to
// fields that are there.
func (o *fileObject) add(n *yaml.Node, depth int, merged bool) {
	if depth > maxNesting {
		o.doc.problem(n.Line, o.at, "nested deeper than %d levels", maxNesting)
		return
	}
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !o.doc.count(key.Line, o.at) {
			return
		}
		if key.Kind == yaml.ScalarNode && key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		k := followAlias(key)
		if k == nil || k.Kind != yaml.ScalarNode {
			o.doc.problem(key.Line, o.at, "a key must be a plain word")
			continue
		}
		if _, there := o.lines[k.Value]; there {
			if !merged {
				o.doc.problem(key.Line, o.field(k.Value), "set twice (first in line %d); keep one", o.lines[k.Value])
			}
			continue
		}
		o.keys = append(o.keys, k.Value)
		o.lines[k.Value] = key.Line
		if v := followAlias(value); v != nil {
			o.fields[k.Value] = v
		}
	}
	for _, m := range merges {
		switch v := followAlias(m); {
		case v != nil && v.Kind == yaml.MappingNode:
			o.add(v, depth+1, true)
		case v != nil && v.Kind == yaml.SequenceNode:
			for _, e := range v.Content {
				if e = followAlias(e); e != nil && e.Kind == yaml.MappingNode {
					o.add(e, depth+1, true)
				}
			}
		default:
			o.doc.problem(m.Line, o.at, "<< takes a record or a list of records")
		}
	}
}

// known reports every key that is in none of the lists.
func (o *fileObject) known(lists ...[]string) {
	all := slices.Concat(lists...)
	for _, k := range o.keys {
		if !slices.Contains(all, k) {
			o.doc.problem(o.lines[k], o.field(Clip(k)), "unknown field%s", DidYouMean(k, all))
		}
	}
}

func (o *fileObject) field(name string) string {
	if o.at == "" {
		return name
	}
	return o.at + "." + name
}

// fail records a mistake at a field, or at the object when name is "".
func (o *fileObject) fail(name, format string, args ...any) {
	line, at := o.line, o.at
	if l, ok := o.lines[name]; ok {
		line = l
	}
	if name != "" {
		at = o.field(name)
	}
	o.doc.problem(line, at, format, args...)
}

func (o *fileObject) has(name string) bool { return o.fields[name] != nil }

// str is a string field, "" when unset. Like Kong, it takes no number or
// boolean for a string.
func (o *fileObject) str(name string) string {
	n := o.fields[name]
	if n == nil {
		return ""
	}
	v, ok := stringValue(n)
	if !ok {
		o.fail(name, "expected a string")
		return ""
	}
	if v == "" {
		o.fail(name, "length must be at least 1")
	}
	return v
}

func stringValue(n *yaml.Node) (string, bool) {
	v, ok := scalarValue(n).(string)
	return v, ok
}

// integer is a whole number within lo and hi, fallback when unset.
func (o *fileObject) integer(name string, fallback, lo, hi int) int {
	n := o.fields[name]
	if n == nil {
		return fallback
	}
	f, ok := scalarValue(n).(float64)
	switch {
	case !ok || f != math.Trunc(f):
		o.fail(name, "expected an integer")
		return fallback
	case f < float64(lo) || f > float64(hi):
		o.fail(name, "value should be between %d and %d", lo, hi)
		return fallback
	}
	return int(f)
}

func (o *fileObject) boolean(name string, fallback bool) bool {
	n := o.fields[name]
	if n == nil {
		return fallback
	}
	b, ok := scalarValue(n).(bool)
	if !ok {
		o.fail(name, "expected a boolean")
		return fallback
	}
	return b
}

func (o *fileObject) oneOf(name, fallback string, allowed ...string) string {
	v := o.str(name)
	if v == "" {
		return fallback
	}
	if !slices.Contains(allowed, v) {
		o.fail(name, "expected one of: %s%s", strings.Join(allowed, ", "), DidYouMean(v, allowed))
		return fallback
	}
	return v
}

// list is the elements of a field with their paths; nil when unset or empty.
func (o *fileObject) list(name, kind string) []fileElement {
	n := o.fields[name]
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
			return nil // {} and [] are one thing to Kong
		}
		o.fail(name, "expected %s", kind)
		return nil
	}
	var out []fileElement
	for i, c := range n.Content {
		if !o.doc.count(c.Line, o.at) {
			return out
		}
		out = append(out, fileElement{doc: o.doc, at: fmt.Sprintf("%s[%d]", o.field(name), i), line: c.Line, node: c})
	}
	return out
}

// strings is a list of strings, each passed to check, which returns what is
// wrong with it or "".
func (o *fileObject) strings(name, kind string, check func(string) string) []string {
	var out []string
	for _, e := range o.list(name, kind) {
		v, ok := "", false
		if n := followAlias(e.node); n != nil {
			v, ok = stringValue(n)
		}
		switch {
		case !ok:
			o.doc.problem(e.line, e.at, "expected a string")
			continue
		case v == "":
			o.doc.problem(e.line, e.at, "length must be at least 1")
			continue
		}
		if text := check(v); text != "" {
			o.doc.problem(e.line, e.at, "%s", text)
			continue
		}
		if kind == "a set" && slices.Contains(out, v) {
			continue
		}
		out = append(out, v)
	}
	return out
}

// A fileElement is one entry of a list.
type fileElement struct {
	doc  *document
	at   string
	line int
	node *yaml.Node
}

func (e fileElement) object() *fileObject { return e.doc.object(e.node, e.at, 0) }

// Clip keeps error texts readable when a key is absurdly long.
func Clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "..."
	}
	return s
}
