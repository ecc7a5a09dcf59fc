package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/datakit"
)

// FuzzCheck: whatever a file holds, each finding has a line of the file and a text, and a workflow without errors can be
// drawn with every node on it.
func FuzzCheck(f *testing.F) {
	seeds, err := filepath.Glob("../../examples/datakit/*/kong.yml")
	require.NoError(f, err)
	for _, name := range seeds {
		text, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(string(text))
	}
	f.Add(`{"resource":{"konnect_gateway_plugin_datakit":{"a":{"config":{"nodes":[{"static":{"name":"A","values":"{\"a\":1}"}}]}}}}}`)
	f.Add("apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\nplugin: datakit\nconfig: {nodes: [{name: A, type: jq, jq: '.a | . as $x | $x.b'}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		sources, err := readSources("f.yml", "datakit", []byte(text))
		if err != nil {
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, s := range sources {
			found := s.check()
			for _, one := range found {
				assert.NotEmpty(t, one.Text)
				assert.GreaterOrEqual(t, one.Line, 0)
				assert.LessOrEqual(t, one.Line, lines+1, "%v", one)
			}
			if countOf(found, isError) == 0 {
				checkDrawing(t, s)
			}
		}
	})
}

func checkDrawing(t *testing.T, s *source) {
	engine := datakit.NewOfflineEngine(func(string, string) {}, datakit.Replacements{})
	defer func() { _ = engine.Close(t.Context()) }()
	plan, err := engine.Compile(s.known().json())
	require.NoError(t, err)
	d := newDrawing(plan.Nodes())
	mermaid, dot := d.mermaid(), d.dot()
	for _, n := range plan.Nodes() {
		assert.Contains(t, mermaid, "    "+mermaidID(n.Name))
		assert.Contains(t, dot, `    "`+n.Name+`" [`)
	}
	again := newDrawing(plan.Nodes())
	assert.Equal(t, mermaid, again.mermaid())
	assert.Equal(t, dot, again.dot())
}

// FuzzRequest: what is taken for a request can be sent.
func FuzzRequest(f *testing.F) {
	f.Add("GET /orders?a=1 HTTP/1.1\nHost: example.org\n\nbody\n")
	f.Add("# a comment\nPOST https://example.org:8443/x\r\nA: b\r\n\r\n{}")
	f.Fuzz(func(t *testing.T, text string) {
		q, err := parseRequest(text)
		if err != nil {
			return
		}
		assert.NotEmpty(t, q.method)
		assert.True(t, strings.HasPrefix(q.target, "/") || q.target == "*", q.target)
		assert.Equal(t, q.target, strings.TrimSuffix(q.path()+"?"+q.query(), map[bool]string{true: "?"}[!strings.Contains(q.target, "?")]))
		assert.NotEmpty(t, q.host)
	})
}

// FuzzMatches: a text matches itself, and what a star is put into.
func FuzzMatches(f *testing.F) {
	f.Add("https://example.org/a/b", 5)
	f.Fuzz(func(t *testing.T, text string, at int) {
		if strings.Contains(text, "*") || at < 0 || at > len(text) {
			return
		}
		assert.True(t, matches(text, text))
		assert.True(t, matches(text[:at]+"*", text))
		assert.True(t, matches("*"+text[at:], text))
		assert.True(t, matches(text[:at]+"*"+text[at:], text))
		assert.False(t, matches(text[:at]+"*x"+text[at:], text))
	})
}
