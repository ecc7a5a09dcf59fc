package docs_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// madeUp is a repository with the real files and made-up flags and texts.
func madeUp(t *testing.T) *repository {
	t.Helper()
	r, err := openRepository(root)
	require.NoError(t, err)
	r.flags = map[string]map[string]bool{"moesif": {"-check": true, "-kong-prefix": true}, "kongdev": {"-f": true}}
	r.literals, r.pieces = nil, nil
	for _, s := range []string{"socket folder %s: does not exist; create it", "the collector %s; %d events wait", "is out of reach: ", "worker died", "exit", "events_sent_total", "moesif_circuits", "panics_total"} {
		r.addLiteral(s)
	}
	return r
}

// Every kind of mistake is found, and what is right is no mistake.
func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	r := madeUp(t)
	const fence = "```"
	for _, c := range []struct{ name, text, want string }{
		{"target", "`make test`", ""},
		{"unknown target", "`make tset`", "make tset: no such target"},
		{"second target", "`make test bench`", ""},
		{"unknown second target", "`make test bnech`", "make bnech: no such target"},
		{"variable", "`make demo ONCE=1`", ""},
		{"unknown variable", "`make demo TWICE=1`", "make TWICE=: no such variable"},
		{"environment", "`GOOS=linux make build`", ""},
		{"in a block", fence + "sh\nmake nothing   # make everything\n" + fence, "make nothing: no such target"},
		{"in prose", "make sense", ""},
		{"in an output", fence + "text\nmake nothing\n" + fence, ""},

		{"file", "`moesif/phases.go`", ""},
		{"missing file", "`moesif/phrases.go`", "moesif/phrases.go: no such file"},
		{"folder", "`internal/kongdev/`", ""},
		{"missing folder", "`internal/kondgev`", "internal/kondgev: no such file"},
		{"folder misspelt at its root", "`intenal/kongdev/load.go`", "intenal/kongdev/load.go: no such file"},
		{"packages", "`./internal/pluginserver/...`", ""},
		{"Go file anywhere", "`phases.go`", ""},
		{"no Go file anywhere", "`phasers.go`", "phasers.go: no such file"},
		{"placeholder", "`schema/<plugin>/schema.lua`", ""},
		{"placeholder without a match", "`schema/<plugin>/schema.luo`", "schema/<plugin>/schema.luo: no such file"},
		{"elsewhere", "`/usr/local/bin/moesif`", ""},
		{"made, not committed", "`bin/moesif`", ""},
		{"module", "`github.com/Kong/go-pdk`", ""},

		{"flag", "`moesif -check`", ""},
		{"unknown flag", "`moesif -cheque`", "moesif -cheque: no such flag"},
		{"flag with a value", "`moesif -kong-prefix=/x`", ""},
		{"of another binary", "`kongdev -check`", "kongdev -check: no such flag"},
		{"of another command", "`curl -i http://127.0.0.1:8000/`", ""},
		{"by path", fence + "sh\ngo run ./cmd/kongdev -g kong.yml\n" + fence, "kongdev -g: no such flag"},
		{"after a pipe", fence + "sh\nkongdev -f kong.yml | grep -c x\n" + fence, ""},
		{"in quotes", fence + "sh\ndocker run -e A=\"/usr/local/bin/moesif -prefix /x\" -v a:b kong\n" + fence, "moesif -prefix: no such flag"},
		{"behind quotes", fence + "sh\ndocker run -e A=\"/usr/local/bin/moesif -kong-prefix /x\" -v a:b kong\n" + fence, ""},
		{"a value is no command", fence + "sh\ndocker run -e KONG_PLUGINS=moesif -v a:b kong\n" + fence, ""},
		{"flag alone", "`-kong-prefix /x`", ""},
		{"unknown flag alone", "`-prefix /x`", "-prefix: no binary has this flag"},
		{"arrow", "`->`", ""},

		{"link", "[a](docs/moesif.md)", ""},
		{"broken link", "[a](docs/moesfi.md)", "link docs/moesfi.md: no such file"},
		{"out of the repository", "[a](../elsewhere.md)", "link ../elsewhere.md: no such file"},
		{"web", "[a](https://example.com/x.md)", ""},
		{"own heading", "# It's `here`, is it?\n[a](#its-here-is-it)", ""},
		{"no such own heading", "# Here\n[a](#there)", "link #there: no such heading"},
		{"heading of a missing page", "[a](docs/other.md#part-two)", "link docs/other.md#part-two: no such file"},
		{"heading of a file that is no page", "[a](Makefile#demo)", "link Makefile#demo: no such heading"},

		{"test", "`TestMistakesAreFound`", ""},
		{"no such test", "`TestMistakesAreLost`", "TestMistakesAreLost: no such test"},

		{"metric", "`moesif_events_sent_total`", ""},
		{"metric with a label", "`moesif_circuits{state=\"held\"}`", ""},
		{"metric of the server", "`keyauth_server_panics_total`", ""},
		{"no such metric", "`moesif_events_lost_total`", "moesif_events_lost_total: no such metric"},

		{"log line", "## Troubleshooting\n| `socket folder ...: does not exist` | why |", ""},
		{"of two texts", "## Troubleshooting\n| `HOST: the collector is out of reach: ...; N events wait` | why |", ""},
		{"nobody says", "## Troubleshooting\n| `socket folder ...: does not exits` | why |", `log line "socket folder ...: does not exits": no source says this`},
		{"two words that no text puts together", "## Troubleshooting\n| `worker exit` | why |", `log line "worker exit": no source says this`},
		{"too little to tell", "## Troubleshooting\n| `exit ...` | why |", `log line "exit ...": no source says this`},
		{"second column", "## Troubleshooting\n| `worker died` | `nobody says this` |", ""},
		{"another section", "## Troubleshooting\n### Kong's own lines\n| `nobody says this` | why |", ""},
	} {
		p := parsePage("README.md", c.text)
		found := r.mistakes(p, map[string]page{"README.md": p})
		if c.want == "" {
			assert.Empty(t, found, c.name)
		} else {
			assert.Equal(t, []string{"README.md: " + c.want}, found, c.name)
		}
	}
}

func TestLinksBetweenPages(t *testing.T) {
	t.Parallel()
	r := madeUp(t)
	moesif := parsePage("docs/moesif.md", "# Made up\n[a](../README.md#top) [b](../README.md#bottom) [c](kongdev.md) [d](gone.md)")
	pages := map[string]page{"docs/moesif.md": moesif, "README.md": parsePage("README.md", "# Top\n")}
	assert.Equal(t, []string{
		"docs/moesif.md: link ../README.md#bottom: no such heading",
		"docs/moesif.md: link gone.md: no such file",
	}, r.mistakes(moesif, pages))
}

func TestOutputs(t *testing.T) {
	t.Parallel()
	p := parsePage("README.md", "<!-- output: a -b -->\n```text\none\n\ntwo\n```\n\n```text\nthree\n```\n")
	assert.Equal(t, []output{{"a -b", []string{"one", "", "two"}}}, p.outputs)

	const out = "process 4711 at /tmp/x\n  10 requests, 10 events\n"
	assert.Empty(t, notShown(out, []string{"process 1 at …", "  10 requests, 10 events"}))
	assert.Equal(t, []string{"process 1 at"}, notShown(out, []string{"process 1 at"}))
	assert.Equal(t, []string{"  ten requests…"}, notShown(out, []string{"  ten requests…"}))
}
