package docs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readPages reads the README, its neighbours and all of docs.
func readPages(t *testing.T) map[string]page {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	hub, err := filepath.Glob(filepath.Join(root, "docs", "hub", "*.md"))
	require.NoError(t, err)
	names = append(names, hub...)
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"} {
		names = append(names, filepath.Join(root, name))
	}
	pages := map[string]page{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		name, err = filepath.Rel(root, name)
		require.NoError(t, err)
		pages[name] = parsePage(name, string(text))
	}
	return pages
}

// help is what a binary, or a part of it, prints about itself.
func help(t *testing.T, binary string, part ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), filepath.Join(bin, binary), append(part, "-help")...).CombinedOutput()
	require.NoError(t, err, binary)
	return strings.TrimRight(string(out), "\n")
}

var helpFlag = regexp.MustCompile(`(?m)^  (-[a-z][a-z-]*)`)

func TestPages(t *testing.T) {
	t.Parallel()
	pages := readPages(t)
	r, err := openRepository(root)
	require.NoError(t, err)
	entries, err := os.ReadDir(bin)
	require.NoError(t, err)
	var binaries []string
	for _, e := range entries {
		binaries = append(binaries, e.Name())
	}
	require.NotEmpty(t, binaries)
	r.flags = map[string]map[string]bool{}
	texts := map[string]string{}
	for _, b := range binaries {
		texts[b] = help(t, b)
		r.flags[b] = map[string]bool{}
		for _, m := range helpFlag.FindAllStringSubmatch(texts[b], -1) {
			r.flags[b][m[1]] = true
		}
		require.Contains(t, r.flags[b], "-version", "the help of %s was understood", b)
	}
	for _, command := range [][2]string{
		{"datakit", "convert"}, {"datakit", "graph"}, {"datakit", "run"}, {"datakit", "test"}, {"datakit", "validate"}, {"keyauth", "admin"}, {"keyauth", "keys"}, {"kongdev", "check"}, {"kongdev", "replay"}, {"moesif", "replay"},
	} {
		binary, part := command[0], command[1]
		texts[binary+" "+part] = help(t, binary, part)
		for _, m := range helpFlag.FindAllStringSubmatch(texts[binary+" "+part], -1) {
			r.flags[binary][m[1]] = true
		}
	}
	shown := map[string]bool{}
	for _, p := range pages {
		assert.Empty(t, r.mistakes(p, pages))
		for _, o := range p.outputs {
			shown[o.command] = true
			binary, isHelp := strings.CutSuffix(o.command, " -help")
			switch {
			case isHelp:
				assert.Equal(t, texts[binary], strings.Join(o.lines, "\n"), "%s: what %s prints", p.name, o.command)
			case o.command == "make demo ONCE=1":
				assert.Empty(t, notShown(demo(t), o.lines), "%s: lines that %s does not print", p.name, o.command)
			case strings.HasPrefix(o.command, "datakit "):
				assert.Equal(t, printed(t, o.command), strings.Join(o.lines, "\n"), "%s: what %s prints", p.name, o.command)
			default:
				assert.Fail(t, "no such output", "%s: %s", p.name, o.command)
			}
		}
	}
	for name := range texts {
		assert.True(t, shown[name+" -help"], "no page shows the flags, below <!-- output: %s -help -->", name)
	}
	for _, b := range binaries {
		_, hasPage := pages["docs/"+b+".md"]
		assert.True(t, hasPage, "%s has no page docs/%s.md", b, b)
	}
	assert.Contains(t, shown, "make demo ONCE=1")
	assert.NotEmpty(t, pages["docs/moesif.md"].quoted)
	assert.NotEmpty(t, pages["docs/kongdev.md"].quoted)
}

// The table of parameters in the README is kept by the generator, which does nothing without its marker lines.
func TestTheReadmeHasTheParameterTables(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	entries, err := os.ReadDir(filepath.Join(root, "cmd"))
	require.NoError(t, err)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "kongdev" {
			table := "\n<!-- generated: " + e.Name() + " parameters -->\n\n| parameter |"
			assert.True(t, strings.Contains(string(text), table), "no table of parameters of %s; make generate fills it in behind its marker lines", e.Name())
		}
	}
}

// printed is what a command about files prints, whatever its exit status.
func printed(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, words[0]), words[1:]...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if exit := new(exec.ExitError); err != nil {
		require.ErrorAs(t, err, &exit)
	}
	return strings.TrimRight(string(out), "\n")
}

// demo runs what `make demo ONCE=1` runs, with binaries that are built already.
func demo(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kongdev"), "-demo", "-once", "-f", "examples/quickstart/kong.yml", "-plugins", bin)
	cmd.Dir = root
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

var number = regexp.MustCompile(`\b[0-9]+\b`)

// notShown returns the lines that are not in a command's output, numbers aside. A line may end early, in "…".
func notShown(out string, lines []string) (missing []string) {
	have := strings.Split(number.ReplaceAllString(out, "0"), "\n")
next:
	for _, line := range lines {
		want, cut := strings.CutSuffix(number.ReplaceAllString(line, "0"), "…")
		for _, h := range have {
			if h == want || cut && strings.HasPrefix(h, want) {
				continue next
			}
		}
		missing = append(missing, line)
	}
	return missing
}
