package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A source is one configuration of datakit in a file.
type source struct {
	file   string
	where  string          // within the file, "" for a bare configuration
	line   int             // where it begins
	config map[string]any  // JSON, numbers as json.Number
	lines  map[string]int  // of members by path, as in nodes[2].jq
	blocks map[string]bool // texts that begin in the line behind their key's
	kong   *gateway        // what else the file says of the gateway; nil when it is no kong.yml
}

// A gateway is what a kong.yml says beside plugins.
type gateway struct {
	upstreams map[string]string // first target by name of the upstream
}

// json is the configuration as Kong would send it.
func (s *source) json() []byte {
	b, err := json.Marshal(s.config)
	if err != nil {
		panic(err) // it was made of YAML scalars
	}
	return b
}

// known is the configuration with a text in place of each reference to a vault, which the plugin never sees.
func (s *source) known() *source {
	resources, _ := s.config["resources"].(map[string]any)
	vault, ok := resources["vault"].(map[string]any)
	if !ok {
		return s
	}
	resources, vault = maps.Clone(resources), maps.Clone(vault)
	for key, v := range vault {
		if text, ok := v.(string); ok && strings.HasPrefix(text, "{vault://") {
			vault[key] = "a value from a vault"
		}
	}
	copied := *s
	copied.config = maps.Clone(s.config)
	copied.config["resources"], resources["vault"] = resources, vault
	return &copied
}

// at is the line of a member, or of what it is in.
func (s *source) at(path string) int {
	for path != "" {
		if line, ok := s.lines[path]; ok {
			return line
		}
		path = path[:max(0, strings.LastIndexAny(path, ".["))]
	}
	return s.line
}

// node is the member of nodes at a position from 0, nil when there is none.
func (s *source) node(i int) map[string]any {
	nodes, _ := s.config["nodes"].([]any)
	if i < 0 || i >= len(nodes) {
		return nil
	}
	m, _ := nodes[i].(map[string]any)
	return m
}

// nodeName is the name of the node that a path is in, or "".
func (s *source) nodeName(path string) string {
	var i int
	if n, _ := fmt.Sscanf(path, "nodes[%d]", &i); n != 1 {
		return ""
	}
	name, _ := s.node(i)["name"].(string)
	return name
}

// Bounds of files, which may come from anywhere.
const (
	maxFileBytes = 8 << 20
	maxDepth     = 100
	maxValues    = 500_000 // counted as often as aliases repeat them
)

// A fileError is why a file cannot be read, with its line where there is one.
type fileError struct {
	file string
	line int
	text string
}

func (e *fileError) Error() string {
	if e.line == 0 {
		return e.file + ": " + e.text
	}
	return fmt.Sprintf("%s:%d: %s", e.file, e.line, e.text)
}

// readFile reads a file up to a size; - is standard input.
func readFile(name string) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(b) > maxFileBytes {
		err = fmt.Errorf("%s: has more than %d bytes", name, maxFileBytes)
	}
	return b, err
}

// readSources finds the configurations of the plugin named plugin in the text of a file.
func readSources(file, plugin string, text []byte) ([]*source, error) {
	r := sourceReader{file: file, plugin: plugin}
	roots, err := documents(file, text)
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		r.document(root, 0)
	}
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.sources) == 0:
		return nil, &fileError{file, 0, "holds no configuration of the plugin " + plugin + "; another name is given by -plugin"}
	}
	return r.sources, nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// documents are the roots of the YAML documents, or of the one JSON document, in a file.
func documents(file string, text []byte) (roots []*yaml.Node, err error) {
	defer func() {
		if v := recover(); v != nil { // the reader's own mistake must not be ours
			roots, err = nil, &fileError{file, 0, "is not YAML that can be read"}
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(text))
	for {
		var n yaml.Node
		if err := d.Decode(&n); errors.Is(err, io.EOF) {
			return roots, nil
		} else if err != nil {
			e := &fileError{file: file, text: "is not YAML: " + err.Error()}
			if m := yamlLine.FindStringSubmatch(err.Error()); m != nil {
				e.line, _ = strconv.Atoi(m[1])
				e.text = "is not YAML: " + err.Error()[len(m[0]):]
			}
			return nil, e
		}
		if n.Kind == yaml.DocumentNode && len(n.Content) == 1 {
			roots = append(roots, n.Content[0])
		}
	}
}

type sourceReader struct {
	file, plugin string
	sources      []*source
	err          error
	values       int
	kong         *gateway
}

func (r *sourceReader) fail(n *yaml.Node, format string, args ...any) {
	if r.err == nil {
		r.err = &fileError{r.file, n.Line, fmt.Sprintf(format, args...)}
	}
}

// document finds out what a document is: a kong.yml, a manifest, Terraform JSON, or a bare configuration.
func (r *sourceReader) document(root *yaml.Node, depth int) {
	root = resolve(root)
	if root == nil || root.Kind != yaml.MappingNode || depth > maxDepth {
		return
	}
	m := members(root)
	switch {
	case m["nodes"] != nil:
		r.add(root, root, "", nil)
	case m["apiVersion"] != nil && m["kind"] != nil:
		r.manifest(m, depth)
	case m["resource"] != nil:
		r.terraform(m["resource"])
	case m["config"] != nil && (m["name"] == nil || m["name"].Value == r.plugin):
		r.add(root, m["config"], "config", nil)
	default:
		r.kong = readGateway(m)
		r.plugins(root, "", 0)
		r.kong = nil
	}
}

// plugins walks the entities of a kong.yml that can hold plugins.
func (r *sourceReader) plugins(n *yaml.Node, path string, depth int) {
	const deepest = 4 // consumer groups or services, routes, plugins
	if depth > deepest {
		return
	}
	m := members(n)
	for _, key := range []string{"services", "routes", "consumers", "consumer_groups"} {
		for i, item := range items(m[key]) {
			r.plugins(item, fmt.Sprintf("%s%s[%d].", path, key, i), depth+1)
		}
	}
	for i, item := range items(m["plugins"]) {
		entity := members(item)
		if entity["name"] != nil && entity["name"].Value == r.plugin {
			r.add(item, entity["config"], fmt.Sprintf("%splugins[%d].config", path, i), nil)
		}
	}
}

// manifest reads a Kubernetes resource; those of other kinds hold none.
func (r *sourceReader) manifest(m map[string]*yaml.Node, depth int) {
	switch m["kind"].Value {
	case "List":
		for _, item := range items(m["items"]) {
			r.document(item, depth+1)
		}
	case "KongPlugin", "KongClusterPlugin":
		if m["plugin"] == nil || m["plugin"].Value != r.plugin {
			return
		}
		if m["configFrom"] != nil {
			r.fail(m["configFrom"], "the configuration is in a Secret; check the text that the Secret is made of")
			return
		}
		where := "config"
		if name := members(m["metadata"])["name"]; name != nil {
			where = name.Value + ": config"
		}
		r.add(m["plugin"], m["config"], where, patches(m["configPatches"]))
	}
}

// patches are the JSON pointers of what a manifest takes from Secrets.
func patches(list *yaml.Node) (paths [][]string) {
	for _, item := range items(list) {
		if path := members(item)["path"]; path != nil && strings.HasPrefix(path.Value, "/") {
			paths = append(paths, strings.Split(path.Value[1:], "/"))
		}
	}
	return paths
}

// add notes a configuration.
func (r *sourceReader) add(holder, config *yaml.Node, where string, patched [][]string) {
	config = resolve(config)
	if config == nil {
		config = &yaml.Node{Kind: yaml.MappingNode, Line: holder.Line}
	}
	s := &source{file: r.file, where: where, line: config.Line, lines: map[string]int{}, blocks: map[string]bool{}, kong: r.kong}
	m, ok := r.value(s, config, "", 0).(map[string]any)
	if !ok {
		r.fail(config, "expected a configuration, which is an object with nodes")
		return
	}
	for _, path := range patched {
		patch(m, path)
	}
	s.config = m
	r.sources = append(r.sources, s)
}

// patch puts a text that stands for a secret into m.
func patch(m map[string]any, path []string) {
	for ; len(path) > 1; path = path[1:] {
		next, ok := m[path[0]].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[path[0]] = next
		}
		m = next
	}
	m[path[0]] = "{vault://a-secret}"
}

// value is the JSON value of a YAML node; the lines of members go to s.
func (r *sourceReader) value(s *source, n *yaml.Node, path string, depth int) any {
	n = resolve(n)
	if r.values++; n == nil || r.values > maxValues || depth > maxDepth {
		if n != nil {
			r.fail(n, "holds too many values, or too deep ones")
		}
		return nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for _, e := range entries(n) {
			at := strings.TrimPrefix(path+"."+e.key.Value, ".")
			if s != nil && len(at) < 1000 {
				s.lines[at] = e.key.Line
			}
			m[e.key.Value] = r.value(s, e.value, at, depth+1)
		}
		return m
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for i, item := range n.Content {
			at := fmt.Sprintf("%s[%d]", path, i)
			if s != nil && len(at) < 1000 {
				s.lines[at] = item.Line
			}
			list = append(list, r.value(s, item, at, depth+1))
		}
		return list
	}
	if s != nil && n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		s.blocks[path] = true
	}
	return scalar(n)
}

// scalar is a scalar as JSON has it. Numbers keep their digits where JSON can write them so.
func scalar(n *yaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		var b bool
		if n.Decode(&b) == nil {
			return b
		}
	case "!!int", "!!float":
		if json.Valid([]byte(n.Value)) {
			return json.Number(n.Value)
		}
		var i int64
		if n.Decode(&i) == nil {
			return json.Number(strconv.FormatInt(i, 10))
		}
		var f float64
		if n.Decode(&f) == nil {
			if b, err := json.Marshal(f); err == nil {
				return json.Number(b)
			}
		}
	}
	return strings.ToValidUTF8(n.Value, "\uFFFD")
}

// resolve follows aliases; nil for one that leads nowhere.
func resolve(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode; i++ {
		if i > maxDepth {
			return nil
		}
		n = n.Alias
	}
	return n
}

type entry struct{ key, value *yaml.Node }

// entries are the members of a mapping, merged ones (<<) behind, each key once.
func entries(n *yaml.Node) []entry { return entriesWithin(n, 0) }

func entriesWithin(n *yaml.Node, depth int) (own []entry) {
	n = resolve(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > 5 {
		return nil
	}
	known := map[string]bool{}
	var merged []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.ShortTag() == "!!merge" {
			for _, from := range append(items(value), value) {
				merged = append(merged, entriesWithin(from, depth+1)...)
			}
			continue
		}
		if key = resolve(key); key != nil && key.Kind == yaml.ScalarNode && !known[key.Value] {
			known[key.Value] = true
			own = append(own, entry{key, value})
		}
	}
	for _, e := range merged {
		if !known[e.key.Value] {
			known[e.key.Value] = true
			own = append(own, e)
		}
	}
	return own
}

// members are the values of a mapping by key, aliases followed; null is absent.
func members(n *yaml.Node) map[string]*yaml.Node {
	m := map[string]*yaml.Node{}
	for _, e := range entries(n) {
		if v := resolve(e.value); v != nil && v.ShortTag() != "!!null" {
			m[e.key.Value] = v
		}
	}
	return m
}

// items are the elements of a list, aliases followed.
func items(n *yaml.Node) (list []*yaml.Node) {
	if n = resolve(n); n != nil && n.Kind == yaml.SequenceNode {
		for _, e := range n.Content {
			if e = resolve(e); e != nil {
				list = append(list, e)
			}
		}
	}
	return list
}

// readGateway reads what a kong.yml says of upstreams.
func readGateway(m map[string]*yaml.Node) *gateway {
	g := &gateway{upstreams: map[string]string{}}
	for _, item := range items(m["upstreams"]) {
		u := members(item)
		if targets := items(u["targets"]); u["name"] != nil && len(targets) > 0 {
			if target := members(targets[0])["target"]; target != nil {
				g.upstreams[u["name"].Value] = target.Value
			}
		}
	}
	return g
}

// pick returns the one configuration to work with: the n-th from 1, or the only one when n is 0.
func pick(sources []*source, n int) (*source, error) {
	switch {
	case n > 0 && n <= len(sources):
		return sources[n-1], nil
	case n > 0:
		return nil, fmt.Errorf("-n %d: the file holds %s of datakit", n, counted(len(sources), "configuration"))
	case len(sources) > 1:
		places := make([]string, len(sources))
		for i, s := range sources {
			places[i] = fmt.Sprintf("%d is %s in line %d", i+1, s.where, s.line)
		}
		return nil, fmt.Errorf("the file holds %s of datakit; choose one by -n: %s", counted(len(sources), "configuration"), strings.Join(places, ", "))
	}
	return sources[0], nil
}
