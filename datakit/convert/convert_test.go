package convert

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/itchyny/gojq"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"kong-go-plugins/datakit"
)

var update = flag.Bool("update", false, "write what conversions give into testdata")

// A folder of testdata has a file of the old filter, what becomes of it, and what is said about that.
func TestDocument(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("testdata/*/in.yml")
	require.NoError(t, err)
	require.NotEmpty(t, folders)
	for _, file := range folders {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			in, err := os.ReadFile(file)
			require.NoError(t, err)
			out, notes, err := Document(in)
			require.NoError(t, err)
			var said strings.Builder
			open := false
			for _, n := range notes {
				said.WriteString(n.String() + "\n")
				open = open || n.Open
			}
			for name, got := range map[string]string{"out.yml": string(out), "notes.txt": said.String()} {
				if *update {
					require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(got), 0o644))
				}
				want, err := os.ReadFile(filepath.Join(dir, name))
				require.NoError(t, err, "-update writes it")
				assert.Equal(t, string(want), got, name)
			}
			if !open {
				compileAll(t, out)
			}
			again, notes, err := Document(out)
			require.NoError(t, err)
			if !open {
				assert.Equal(t, string(out), string(again), "what is converted stays as it is")
				assert.Empty(t, notes)
			}
		})
	}
}

// compileAll asserts that the plugin takes every workflow of a document.
func compileAll(t *testing.T, doc []byte) {
	t.Helper()
	var n yaml.Node
	require.NoError(t, yaml.Unmarshal(doc, &n))
	engine := datakit.NewEngine(func(_, text string) { t.Log(text) })
	defer func() { assert.NoError(t, engine.Close(t.Context())) }()
	var visit func(*yaml.Node)
	visit = func(n *yaml.Node) {
		if nodes := member(n, "nodes"); isWorkflow(nodes) {
			var v any
			require.NoError(t, nodes.Decode(&v))
			config, err := json.Marshal(map[string]any{"nodes": v})
			require.NoError(t, err)
			_, err = engine.Compile(config)
			assert.NoError(t, err)
		}
		for _, child := range n.Content {
			visit(child)
		}
	}
	visit(&n)
}

func TestDocumentInJSON(t *testing.T) {
	t.Parallel()
	out, notes, err := Document([]byte(`{"name":"datakit_filter","config":{"nodes":[{"name":"C","type":"call","url":"http://a/?b=1&c=2","timeout":2,"inputs":["request.body"]}]}}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"name":"datakit_filter","config":{"nodes":[{"name":"C","type":"call","url":"http://a/?b=1&c=2","timeout":2000,"inputs":{"body":"request.body"}}]}}`, string(out))
	assert.Contains(t, string(out), "&c=2")
	assert.Len(t, notes, 1)

	out, _, err = Document([]byte(`{"filter_chains":[{"filters":[{"name":"datakit","config":"{\"nodes\":[{\"name\":\"C\",\"type\":\"call\",\"url\":\"http://a/\",\"timeout\":2}]}"}]}]}`))
	require.NoError(t, err)
	assert.JSONEq(t, `{"plugins":[{"name":"datakit","config":{"nodes":[{"name":"C","type":"call","url":"http://a/","timeout":2000}]}}]}`, string(out))
}

func TestDocumentRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "there is no workflow",
		"a: b":                          "there is no workflow",
		"nodes: []":                     "there is no workflow",
		"nodes: [{name: A}]":            "there is no workflow",
		"a: [":                          "neither YAML nor JSON",
		"nodes: [{type: {a: b}}]":       "there is no workflow",
		"{\"nodes\": \"none of them\"}": "there is no workflow",
	} {
		_, _, err := Document([]byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}

// FuzzDocument asserts that what comes out of a document is a document of the same kind.
func FuzzDocument(f *testing.F) {
	files, err := filepath.Glob("testdata/*/in.yml")
	require.NoError(f, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte(`{"filter_chains":[{"filters":[{"name":"datakit","config":"nodes: [{type: call}]"}]}],"plugins":1}`))
	f.Add([]byte("a: &a {nodes: [{type: jq, jq: $b, inputs: [b: *a]}]}\n---\nb: *a"))
	f.Fuzz(func(t *testing.T, doc []byte) {
		out, notes, err := Document(doc)
		if err != nil {
			return
		}
		var v yaml.Node
		require.NoError(t, yaml.Unmarshal(out, &v), "%s", out)
		if json.Valid(doc) && doc[0] == '{' {
			assert.True(t, json.Valid(out), "%s", out)
		}
		for _, n := range notes {
			assert.NotEmpty(t, n.Text)
		}
	})
}

// FuzzProgram asserts that a program gives the same after it is converted.
func FuzzProgram(f *testing.F) {
	for _, seed := range []string{
		"$a", "$a.x, $b", "{a: $a, b: $b.c}", "[$a[] | $b]", `"\($a)"`, "if $a then $b else . end", "{$a}", "$a as $b | $b", "def f: $a; f | f",
		`$a # $b`, "reduce $a[] as $x (0; . + $b)", "$a?", ".[$b]", "-$b", "$a//$b", "try error($a) catch .", "$a|=$b", "[.a,$a]|.[1]", "$a.x=$b",
	} {
		f.Add(seed)
	}
	a, b := any(map[string]any{"x": []any{1, nil, "t"}}), any(2)
	f.Fuzz(func(t *testing.T, text string) {
		query, err := gojq.Parse(text)
		if err != nil {
			return
		}
		code, err := gojq.Compile(query, gojq.WithVariables([]string{"$a", "$b"}))
		if err != nil {
			return
		}
		converted, err := convertProgram(text, []string{"a", "b"})
		require.NoError(t, err)
		query, err = gojq.Parse(converted)
		require.NoError(t, err, "%q", converted)
		now, err := gojq.Compile(query)
		require.NoError(t, err, "%q", converted)
		for _, unsteady := range []string{"now", "input", "range", "repeat", "recurse", "..", "until", "while", "limit", "debug", "env", "$ENV", "halt", "error", "mktime", "localtime", "def", "paths", "combinations", "*"} {
			if strings.Contains(text, unsteady) {
				return // what it gives takes too long, or is another thing each time
			}
		}
		input := map[string]any{"a": a, "b": b}
		assert.Equal(t, results(code, input, a, b), results(now, input), "%q", converted)
	})
}

// results are the first results of a program, errors by their text.
func results(code *gojq.Code, input any, variables ...any) (all []any) {
	iter := code.Run(input, variables...)
	for range 10 {
		v, ok := iter.Next()
		if !ok {
			break
		}
		if err, failed := v.(error); failed {
			return append(all, err.Error())
		}
		all = append(all, v)
	}
	return all
}
