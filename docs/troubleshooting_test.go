package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	patience = 60 * time.Second     // for a line to be said, on a busy machine
	seldom   = "Seldom"             // the section whose lines tests of the code bring about: they are looked up there and in the sources
	kongs    = "Hybrid and Konnect" // that of lines of Kong and others
)

// A situation brings about what a section is about. The function that it returns gives everything that was said so far, and
// is called again while a line is missing.
type situation func(t *testing.T) func() string

// situations are the sections of docs/troubleshooting.md with log lines.
var situations = map[string]situation{ // read-only
	"Kong does not start":            kongDoesNotStart,
	"The plugin does not start":      pluginDoesNotStart,
	"-check fails":                   checkFails,
	"-validate finds mistakes":       validateFindsMistakes,
	"Kong runs, the plugin does not": pluginIsNotThere,
	"The plugin runs":                pluginRuns,
	"moesif":                         moesifInTrouble,
	"keyauth":                        keyauthInTrouble,
	"datakit":                        datakitInTrouble,
}

var (
	headingPattern = regexp.MustCompile(`(?m)^## (.+)$`)         // read-only
	rowPattern     = regexp.MustCompile("(?m)^\\| (`[^|]+) \\|") // read-only
)

// quotedLines are the log lines in the first columns of a page's tables, by section.
func quotedLines(text string) map[string][]string {
	lines := map[string][]string{}
	places := headingPattern.FindAllStringSubmatchIndex(text, -1)
	for i, p := range places {
		end := len(text)
		if i+1 < len(places) {
			end = places[i+1][0]
		}
		name := strings.ReplaceAll(text[p[2]:p[3]], "`", "")
		for _, row := range rowPattern.FindAllStringSubmatch(text[p[1]:end], -1) {
			for _, span := range spanPattern.FindAllStringSubmatch(row[1], -1) {
				lines[name] = append(lines[name], span[1])
			}
		}
	}
	return lines
}

var linePart = regexp.MustCompile(`\.\.\.|\b(?:N|HOST|FILE|NAME)\b`) // read-only

// linePattern is what a log line on a page stands for: ... is anything, N a number, HOST, FILE and NAME are a word.
func linePattern(line string) *regexp.Regexp {
	var b strings.Builder
	at := 0
	for _, p := range linePart.FindAllStringIndex(line, -1) {
		b.WriteString(regexp.QuoteMeta(line[at:p[0]]))
		switch line[p[0]:p[1]] {
		case "...":
			b.WriteString(`.+`)
		case "N":
			b.WriteString(`[0-9]+`)
		default:
			b.WriteString(`\S+`)
		}
		at = p[1]
	}
	return regexp.MustCompile(b.String() + regexp.QuoteMeta(line[at:]))
}

func TestLinePattern(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line, said string
		want       bool
	}{
		{"worker died", `level=ERROR msg="worker died" pid=7`, true},
		{"worker died", "worker ended", false},
		{"HOST: the collector answered 401: check application_id; N events wait", "moesif: 127.0.0.1:99: the collector answered 401: check application_id; 12 events wait and", true},
		{"HOST: the collector answered 401: check application_id; N events wait", "moesif: 127.0.0.1:99: the collector answered 401: check application_id; no events wait and", false},
		{"socket folder ...: is no folder", "socket folder /a b: is no folder; name", true},
		{"socket folder ...: is no folder", "socket folder", false},
		{"a ... b", "a\nb", false},
	} {
		assert.Equal(t, c.want, linePattern(c.line).MatchString(c.said), "%q %q", c.line, c.said)
	}
	assert.Equal(t, map[string][]string{"A": {"one", "two"}, "-b x": {"three"}},
		quotedLines("# T\n| `none` | x |\n## A\n| line | why |\n|---|---|\n| `one`, `two` | `x` |\n### more\nno\n## `-b` x\n| no `line` | x |\n| `three` | x |\n"))
}

// Every line that docs/troubleshooting.md quotes is said, by the binaries themselves, in the situation that its section is
// about.
func TestTroubleshooting(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	require.NoError(t, err)
	lines := quotedLines(string(text))
	r, err := openRepository(root)
	require.NoError(t, err)
	for _, line := range lines[seldom] {
		assert.True(t, r.says(line), "no source says %q", line)
		assert.True(t, r.awaits(line), "no test of the code waits for %q", line)
	}
	for name := range lines {
		if name != seldom && name != kongs {
			assert.Contains(t, situations, name, "nothing brings about the lines of this section")
		}
	}
	for name, bringAbout := range situations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, lines[name], "the section is there and has lines")
			said := bringAbout(t)
			deadline, text := time.Now().Add(patience), said()
			for _, line := range lines[name] {
				for pattern := linePattern(line); !pattern.MatchString(text); text = said() {
					require.True(t, time.Now().Before(deadline), "nobody says this: %s\nbut:\n%s", line, text)
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
}
