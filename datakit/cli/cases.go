package cli

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// A testCase is a workflow, what is around it, and requests with what they are to come to. It is a folder, a txtar file
// with the files of such a folder, or one case of a YAML file.
type testCase struct {
	name   string
	file   string // where the configuration is, for messages
	config []byte
	script script
	steps  []testStep
	save   func(step int, expected []byte) error // nil when a case cannot be rewritten
}

type testStep struct {
	scene    scene
	expected string // "" when there is none yet
}

// configNames are what the file with the configuration is called in a folder.
var configNames = []string{"kong.yml", "kong.yaml", "config.yml", "config.yaml", "workflow.yml", "workflow.yaml", "workflow.json", "kong.json", "main.tf.json"} // read-only

// findCases returns the cases below a folder, by name.
func findCases(dir string) (cases []*testCase, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		var found []*testCase
		switch {
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir // .git and the like
		case d.IsDir() && exists(filepath.Join(path, "request.http")):
			if name == "." {
				name = filepath.Base(path)
			}
			found, err = one(folderCase(path))
		case !d.Type().IsRegular():
		case strings.HasSuffix(path, ".txtar"):
			found, err = one(txtarCase(path))
		case strings.HasSuffix(path, ".test.yml"), strings.HasSuffix(path, ".test.yaml"):
			found, err = yamlCases(path)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, c := range found {
			c.name = strings.TrimSuffix(filepath.ToSlash(name)+": "+c.name, ": ")
			cases = append(cases, c)
		}
		return nil
	})
	slices.SortStableFunc(cases, func(a, b *testCase) int { return strings.Compare(a.name, b.name) })
	return cases, err
}

func one(c *testCase, err error) ([]*testCase, error) {
	if err != nil {
		return nil, err
	}
	return []*testCase{c}, nil
}

// fromFiles makes a case of files by name.
func fromFiles(read func(name string) (string, bool)) (*testCase, error) {
	c := &testCase{}
	for _, name := range configNames {
		if text, ok := read(name); ok {
			c.file, c.config = name, []byte(text)
			break
		}
	}
	c.script.stubs, _ = read("stubs.yml")
	c.script.vault, _ = read("vault.yml")
	c.script.properties, _ = read("properties.yml")
	now, _ := read("now")
	c.script.now = strings.TrimSpace(now)
	for i := 1; ; i++ {
		n := ""
		if i > 1 {
			n = strconv.Itoa(i)
		}
		request, ok := read("request" + n + ".http")
		if !ok {
			break
		}
		s := testStep{scene: scene{request: request}}
		s.scene.upstream, _ = read("upstream" + n + ".http")
		s.expected, _ = read(expectedName(i - 1))
		c.steps = append(c.steps, s)
	}
	if len(c.steps) == 0 {
		return nil, fmt.Errorf("has no request.http")
	}
	return c, nil
}

// expectedName is the file of what a step, from 0, is to come to.
func expectedName(step int) string {
	if step == 0 {
		return "expected.yml"
	}
	return "expected" + strconv.Itoa(step+1) + ".yml"
}

func folderCase(dir string) (*testCase, error) {
	c, err := fromFiles(func(name string) (string, bool) {
		b, err := readFile(filepath.Join(dir, name))
		return string(b), err == nil
	})
	if err != nil {
		return nil, err
	}
	if c.config == nil {
		return nil, fmt.Errorf("has no configuration; expected one of %s", strings.Join(configNames, ", "))
	}
	c.file = filepath.Join(dir, c.file)
	c.save = func(step int, text []byte) error {
		return os.WriteFile(filepath.Join(dir, expectedName(step)), text, 0o644)
	}
	return c, nil
}

// txtarCase reads a txtar file. The configuration is in it, or the line "config: PATH" of its comment says where.
func txtarCase(path string) (*testCase, error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	archive := txtar.Parse(b)
	c, err := fromFiles(func(name string) (string, bool) {
		for _, f := range archive.Files {
			if f.Name == name {
				return string(f.Data), true
			}
		}
		return "", false
	})
	if err != nil {
		return nil, err
	}
	if c.config == nil {
		for line := range strings.Lines(string(archive.Comment)) {
			if name, ok := strings.CutPrefix(strings.TrimLeft(line, "# "), "config:"); ok {
				c.file = filepath.Join(filepath.Dir(path), strings.TrimSpace(name))
				if c.config, err = readFile(c.file); err != nil {
					return nil, err
				}
			}
		}
		if c.config == nil {
			return nil, fmt.Errorf("has no configuration; expected one of %s, or a line such as config: kong.yml above the files", strings.Join(configNames, ", "))
		}
	} else {
		c.file = path + "/" + c.file
	}
	c.save = func(step int, text []byte) error {
		i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == expectedName(step) })
		if i < 0 {
			i = len(archive.Files)
			archive.Files = append(archive.Files, txtar.File{Name: expectedName(step)})
		}
		archive.Files[i].Data = text
		return os.WriteFile(path, txtar.Format(archive), 0o644)
	}
	return c, nil
}

// yamlCases reads a file of cases that share a configuration: config (a path or the configuration), stubs, vault,
// properties, now, and cases, each with name, request, upstream, expected, and stubs of its own that come first.
func yamlCases(path string) (cases []*testCase, err error) {
	b, err := readFile(path)
	if err != nil {
		return nil, err
	}
	roots, err := documents(path, b)
	if err != nil || len(roots) != 1 {
		return nil, fmt.Errorf("expected one YAML document: %w", err)
	}
	root := roots[0]
	m := members(root)
	if err := onlyKeys(root, "config", "stubs", "vault", "properties", "now", "cases"); err != nil {
		return nil, err
	}
	file, config := path, []byte(nil)
	switch c := m["config"]; {
	case c == nil:
		return nil, fmt.Errorf("config: expected a path, or the configuration")
	case c.Kind == yaml.ScalarNode:
		file = filepath.Join(filepath.Dir(path), c.Value)
		config, err = readFile(file)
	default:
		config, err = yaml.Marshal(c)
	}
	if err != nil {
		return nil, err
	}
	text := func(n *yaml.Node) string {
		if n == nil {
			return ""
		}
		out, err := yaml.Marshal(n)
		if err != nil {
			return ""
		}
		return string(out)
	}
	shared := script{vault: text(m["vault"]), properties: text(m["properties"])}
	if m["now"] != nil {
		shared.now = m["now"].Value
	}
	for i, item := range items(m["cases"]) {
		if err := onlyKeys(item, "name", "request", "upstream", "expected", "stubs", "properties"); err != nil {
			return nil, fmt.Errorf("cases[%d]: %w", i, err)
		}
		of := members(item)
		c := &testCase{name: strconv.Itoa(i + 1), file: file, config: config, script: shared}
		if of["name"] != nil {
			c.name = of["name"].Value
		}
		if of["properties"] != nil {
			c.script.properties = text(of["properties"])
		}
		all := yaml.Node{Kind: yaml.SequenceNode, Content: append(items(of["stubs"]), items(m["stubs"])...)}
		c.script.stubs = text(&all)
		step := testStep{expected: text(of["expected"])}
		if of["request"] == nil {
			return nil, fmt.Errorf("cases[%d]: request: expected the client's request", i)
		}
		step.scene.request = of["request"].Value
		if of["upstream"] != nil {
			step.scene.upstream = of["upstream"].Value
		}
		c.steps = []testStep{step}
		c.save = func(_ int, text []byte) error { return saveYAML(path, root, item, text) }
		cases = append(cases, c)
	}
	return cases, nil
}

// onlyKeys refuses keys that are misspelt.
func onlyKeys(n *yaml.Node, known ...string) error {
	for _, e := range entries(n) {
		if !slices.Contains(known, e.key.Value) {
			return fmt.Errorf("%s: unknown key; expected %s", short(e.key.Value), strings.Join(known, ", "))
		}
	}
	return nil
}

// saveYAML puts what is expected into a case of a YAML file.
func saveYAML(path string, root, item *yaml.Node, text []byte) error {
	roots, err := documents(path, text)
	if err != nil || len(roots) != 1 {
		return err
	}
	found := false
	for i := 0; i+1 < len(item.Content); i += 2 {
		if item.Content[i].Value == "expected" {
			item.Content[i+1], found = roots[0], true
		}
	}
	if !found {
		item.Content = append(item.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: "expected"}, roots[0])
	}
	var b bytes.Buffer
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
