package docs_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the worked examples print into the pages")

// exampleMark stands before a console block that is run from the repository's root: lines after "$ " are commands, the
// others what they print. A line "…" stands for any lines.
const exampleMark = "<!-- example -->\n```console\n"

// sourceMark stands before a block that is part of a file.
var sourceMark = regexp.MustCompile("(?s)<!-- source: (\\S+) -->\n```[a-z]*\n(.*?)```\n")

// A step is one command of an example and its output.
type step struct{ command, output string }

func readSteps(block string) (steps []step) {
	for line := range strings.Lines(block) {
		if command, ok := strings.CutPrefix(line, "$ "); ok {
			steps = append(steps, step{command: strings.TrimSuffix(command, "\n")})
		} else if n := len(steps); n > 0 {
			steps[n-1].output += line
		}
	}
	return steps
}

// varies is what differs between two runs of an example.
var varies = []struct { // read-only
	what *regexp.Regexp
	with string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{regexp.MustCompile(`\d+ µs`), "N µs"},
	{regexp.MustCompile(`\(\d+ bytes\)|\d+ bytes in`), "(N bytes)"}, // a log's size has the latencies' digits in it
	{regexp.MustCompile(`\b\d+\.\d+s\b|\(cached\)`), "N.NNs"},
	{regexp.MustCompile(`Latency: \d+`), "Latency: N"},
	{regexp.MustCompile(`Date: .*`), "Date: D"},
	{regexp.MustCompile(`(?m)^.*: still running after .*\n`), ""},
	{regexp.MustCompile(`\t`), " "},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) $`), ""},
}

func normalised(text string) string {
	for _, v := range varies {
		text = v.what.ReplaceAllString(text, v.with)
	}
	return text
}

// fits reports whether an output is what the page shows.
func fits(shown, got string) bool {
	var pattern strings.Builder
	for line := range strings.Lines(normalised(shown)) {
		if line == "…\n" {
			pattern.WriteString(`(.*\n)*`)
			continue
		}
		pattern.WriteString(regexp.QuoteMeta(line))
	}
	return regexp.MustCompile("^" + pattern.String() + "$").MatchString(normalised(got))
}

// A shell runs steps with other folders and ports than a reader has.
type shell struct {
	commands, outputs *strings.Replacer
}

func newShell(t *testing.T) shell {
	t.Helper()
	proxy, admin := freeAddresses(t)
	tmp, err := os.MkdirTemp("", "docs")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(tmp) })
	const proxyShown, adminShown = "127.0.0.1:8000", "127.0.0.1:8001"
	listen := fmt.Sprintf("%s/kongdev -listen %s -admin %s -f", bin, proxy, admin)
	return shell{
		strings.NewReplacer("bin/kongdev -f", listen, "bin/", bin+"/", "-plugins bin", "-plugins "+bin, "/tmp/", tmp+"/", proxyShown, proxy, adminShown, admin),
		strings.NewReplacer(bin+"/", "bin/", tmp+"/", "/tmp/", proxy, proxyShown, admin, adminShown),
	}
}

var given sync.Map // addresses, to tests that run at the same time

// freeAddresses are on a loopback address that this process has for itself, so that nobody gets their ports in the meantime.
func freeAddresses(t *testing.T) (a, b string) {
	t.Helper()
	pid := os.Getpid()
	host := fmt.Sprintf("127.%d.%d.%d:0", 64+pid>>16&63, pid>>8&255, pid&255)
	var free []string
	for len(free) < 2 {
		l, err := net.Listen("tcp", host)
		require.NoError(t, err)
		defer l.Close()
		if _, taken := given.LoadOrStore(l.Addr().String(), true); !taken {
			free = append(free, l.Addr().String())
		}
	}
	return free[0], free[1]
}

func (s shell) run(t *testing.T, command string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // one command builds and runs a test
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", s.commands.Replace(command))
	cmd.Dir = root
	out, _ := cmd.CombinedOutput() // the exit status is the example's to show
	require.NoError(t, ctx.Err(), command)
	text := s.outputs.Replace(strings.ReplaceAll(string(out), "\r\n", "\n"))
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}

// The worked examples do what the page shows. go test ./docs -run TestWorkedExamples -update writes what they print.
func TestWorkedExamples(t *testing.T) {
	t.Parallel()
	name := filepath.Join(root, "docs", "kongdev.md")
	page, err := os.ReadFile(name)
	require.NoError(t, err)
	parts := strings.Split(string(page), exampleMark)
	require.Len(t, parts, 6, "five worked examples")
	s := newShell(t)
	for i, part := range parts[1:] {
		block, rest, ok := strings.Cut(part, "```\n")
		require.True(t, ok, "the block of example %d ends", i+1)
		steps := readSteps(block)
		require.NotEmpty(t, steps)
		written := ""
		for _, st := range steps {
			got := s.run(t, st.command)
			if *update && !fits(st.output, got) {
				st.output = got
			}
			assert.True(t, fits(st.output, got), "example %d: %s\nshown:\n%s\nprinted:\n%s", i+1, st.command, st.output, got)
			written += "$ " + st.command + "\n" + st.output
		}
		parts[i+1] = written + "```\n" + rest
	}
	if text := strings.Join(parts, exampleMark); *update && text != string(page) {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o644))
	}
}

// Blocks that are parts of files are.
func TestSourcesOnPages(t *testing.T) {
	t.Parallel()
	shown := 0
	for name := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for _, m := range sourceMark.FindAllStringSubmatch(string(text), -1) {
			file, err := os.ReadFile(filepath.Join(root, m[1]))
			require.NoError(t, err, name)
			assert.Contains(t, string(file), m[2], "%s shows %s", name, m[1])
			shown++
		}
	}
	assert.Greater(t, shown, 12)
}

func TestFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shown, got string
		want       bool
	}{
		{"", "", true},
		{"a\n", "a\n", true},
		{"a\n", "b\n", false},
		{"a\n", "a\nb\n", false},
		{"a\n…\n", "a\nb\nc\n", true},
		{"…\nc\n", "a\nb\nc\n", true},
		{"…\nd\n", "a\nb\nc\n", false},
		{"access: 612 µs\n", "access: 7 µs\n", true},
		{"200 in 612 µs\n", "500 in 7 µs\n", false},
		{"GET /a: 200\n", "GET /a: still running after 2 s, waits for the upstream, request a56c\nGET /a: 200\n", true},
		{"request 5e4581599b9da1501287c1730a835318\n", "request a56c054e7e43f33397db9146349b0b09\n", true},
		{"ok  \tpkg\t0.123s\n", "ok  \tpkg\t(cached)\n", true},
	} {
		assert.Equal(t, c.want, fits(c.shown, c.got), "%q %q", c.shown, c.got)
	}
	assert.Equal(t, []step{{"a", "1\n2\n"}, {"b", ""}}, readSteps("$ a\n1\n2\n$ b\n"))
}
