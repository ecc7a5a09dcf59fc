package schema

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds for files, which may come from anywhere.
const (
	maxFileBytes = 8 << 20
	maxYAMLDepth = 100
	maxYAMLNodes = 500_000 // counted as often as aliases repeat them
	maxPathBytes = 2000    // of what is remembered; deeper values have the line of the one above
)

// A yamlFile reads values out of YAML (or JSON, which is YAML) and remembers where they stood.
type yamlFile struct {
	name     string
	problems []Problem
	nodes    int
	lastLine int
}

// An at is a value's place: path to line, below one root.
type at map[string]int

// line returns where a path stands, or else where what holds it does.
func (a at) line(path string) int {
	for {
		if line, ok := a[path]; ok {
			return line
		}
		if path == "" {
			return 1
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
}

func (y *yamlFile) fail(line int, field, format string, args ...any) {
	line = min(max(line, 1), y.lastLine)
	y.problems = append(y.problems, Problem{File: y.name, Line: line, Field: field, Text: fmt.Sprintf(format, args...)})
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// documents returns the roots of all documents that can be read.
func (y *yamlFile) documents(data []byte) (roots []*yaml.Node) {
	y.lastLine = bytes.Count(data, []byte("\n")) + 1
	if len(data) > 0 && data[len(data)-1] == '\n' {
		y.lastLine = max(1, y.lastLine-1)
	}
	if len(data) > maxFileBytes {
		y.fail(1, "", "has %d bytes, more than %d: this is no plugin configuration", len(data), maxFileBytes)
		return nil
	}
	defer func() {
		if v := recover(); v != nil { // the reader's own mistake must not be ours
			y.fail(1, "", "is not YAML that can be read: %s", shown(fmt.Sprint(v)))
			roots = nil
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n yaml.Node
		err := d.Decode(&n)
		if errors.Is(err, io.EOF) {
			return roots
		}
		if err != nil {
			m := yamlLine.FindStringSubmatch(err.Error())
			line := 1
			text := err.Error()
			if m != nil {
				line, _ = strconv.Atoi(m[1])
				text = text[len(m[0]):]
			}
			y.fail(line, "", "is not YAML: %s", shown(text))
			return roots
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			roots = append(roots, n.Content[0])
		}
	}
}

// resolve follows aliases; it returns nil for one that leads nowhere.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode; i++ {
		if i > maxYAMLDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}

// spend counts one more node and reports whether the file stays within bounds.
func (y *yamlFile) spend(n *yaml.Node, depth int) bool {
	if y.nodes > maxYAMLNodes {
		return false
	}
	y.nodes++
	switch {
	case y.nodes > maxYAMLNodes:
		y.fail(n.Line, "", "holds more than %d values: too many, or aliases that multiply", maxYAMLNodes)
		return false
	case depth > maxYAMLDepth:
		y.fail(n.Line, "", "nested deeper than %d levels", maxYAMLDepth)
		return false
	}
	return true
}

// An entry is one member of a mapping.
type entry struct {
	key   string
	node  *yaml.Node // nil for the key of a merge that leads nowhere
	value *yaml.Node // resolved
}

// entries returns the members of a mapping in order, merges (<<) included; a key twice is a problem.
func (y *yamlFile) entries(n *yaml.Node, path string, depth int) []entry {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode || !y.spend(n, depth) {
		return nil
	}
	var own, merged []entry
	lines := make(map[string]int)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			merged = append(merged, y.merged(value, path, depth+1)...)
			continue
		}
		key = resolve(key)
		if key == nil || key.Kind != yaml.ScalarNode {
			y.fail(n.Content[i].Line, path, "a key must be plain text")
			continue
		}
		if first, ok := lines[key.Value]; ok {
			y.fail(key.Line, under(path, shown(key.Value)), "given twice, first in line %d", first)
			continue
		}
		lines[key.Value] = key.Line
		own = append(own, entry{key.Value, key, resolve(value)})
	}
	for _, e := range merged {
		if _, ok := lines[e.key]; !ok {
			lines[e.key] = e.node.Line
			own = append(own, e)
		}
	}
	return own
}

func (y *yamlFile) merged(value *yaml.Node, path string, depth int) []entry {
	value = resolve(value)
	if value == nil || !y.spend(value, depth) {
		return nil
	}
	if value.Kind != yaml.SequenceNode {
		return y.entries(value, path, depth+1)
	}
	var all []entry
	for _, v := range value.Content {
		all = append(all, y.entries(v, path, depth+1)...)
	}
	return all
}

// member returns one member of a mapping; nil when there is none.
func (y *yamlFile) member(n *yaml.Node, key string) *entry {
	for _, e := range y.entries(n, "", 0) {
		if e.key == key {
			return &e
		}
	}
	return nil
}

// value turns a node into the value that Kong would read, and notes in places where its parts stand.
func (y *yamlFile) value(n *yaml.Node, path string, places at, depth int) any {
	n = resolve(n)
	if n == nil || !y.spend(n, depth) {
		return nil
	}
	if _, ok := places[path]; !ok && len(path) <= maxPathBytes {
		places[path] = n.Line
	}
	below := func(suffix string) string {
		if len(path) > maxPathBytes {
			return path
		}
		return suffix
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := make(map[string]any)
		for _, e := range y.entries(n, path, depth) {
			p := below(under(path, shown(e.key)))
			if len(p) <= maxPathBytes {
				places[p] = e.node.Line
			}
			m[e.key] = y.value(e.value, p, places, depth+1)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, c := range n.Content {
			list = append(list, y.value(c, below(fmt.Sprintf("%s[%d]", path, i)), places, depth+1))
		}
		return list
	}
	return scalar(n)
}

// scalar reads a scalar as Kong's YAML reader does: yes, no, on and off are booleans.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool", "!!int", "!!float":
		var v any
		if n.Decode(&v) == nil {
			switch v.(type) {
			case bool, int, int64, uint64, float64:
				return v
			}
		}
	case "!!str":
		if n.Style == 0 {
			switch n.Value {
			case "yes", "Yes", "YES", "on", "On", "ON":
				return true
			case "no", "No", "NO", "off", "Off", "OFF":
				return false
			}
		}
	}
	return n.Value
}
