package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/store"
)

var update = flag.Bool("update", false, "write what the commands print into testdata")

// outlives says of every file that it outlives the machine, wherever tests run.
func outlives(string) []string { return nil }

// today is when the sessions happen.
var today = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) // read-only

// A recorder runs the commands of one session and gives what differs between two runs a name: DIR, ID1, KEY1, LAST1 (of a
// key's hint), HASH1. Commands may use these names.
type recorder struct {
	dir   string
	names map[string]string // by what was printed
	real  map[string]string // by name
	count map[string]int
	now   time.Time
}

var (
	idPattern   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`)
	keyPattern  = regexp.MustCompile(`\b[a-z_]+_[0-9A-Za-z]{24}_[0-9A-Za-z]{6}\b`)
	lastPattern = regexp.MustCompile(`_\.\.\.[0-9A-Za-z]{4}\b`)
	hashPattern = regexp.MustCompile(`:[A-Za-z0-9_-]{43}\b`)
	pipePattern = regexp.MustCompile(`^(\S+) \| `)
)

func (r *recorder) name(kind string, text string) string {
	if n, ok := r.names[text]; ok {
		return n
	}
	r.count[kind]++
	n := fmt.Sprint(kind, r.count[kind])
	r.names[text], r.real[n] = n, text
	return n
}

func (r *recorder) shown(text string) string {
	text = strings.ReplaceAll(text, r.dir, "DIR")
	text = hashPattern.ReplaceAllStringFunc(text, func(s string) string { return ":" + r.name("HASH", s[1:]) }) // first: a key may stand in one by chance
	text = keyPattern.ReplaceAllStringFunc(text, func(s string) string { return r.name("KEY", s) })
	text = idPattern.ReplaceAllStringFunc(text, func(s string) string { return r.name("ID", s) })
	return lastPattern.ReplaceAllStringFunc(text, func(s string) string { return "_..." + r.name("LAST", s[4:]) })
}

func (r *recorder) meant(word string) string {
	if text, ok := r.real[word]; ok {
		return text
	}
	return strings.ReplaceAll(word, "DIR", r.dir)
}

// run runs a line of a session: `create -consumer alice`, `KEY1 | show -key-stdin`, `write FILE TEXT`, `wait 48h`, or `use ID`,
// which is what the plugin notes of a request.
func (r *recorder) run(t *testing.T, line string) string {
	stdin := ""
	if m := pipePattern.FindStringSubmatch(line); m != nil {
		stdin, line = r.meant(m[1])+"\n", line[len(m[0]):]
	}
	args := strings.Fields(line)
	for i := range args {
		args[i] = r.meant(args[i])
	}
	switch args[0] {
	case "write":
		text := strings.ReplaceAll(strings.Join(args[2:], " "), `\n`, "\n")
		require.NoError(t, os.WriteFile(args[1], []byte(strings.ReplaceAll(text, "_ ", "  ")), 0o600))
		return ""
	case "use":
		f, err := os.OpenFile(store.LastUsedPath(filepath.Join(r.dir, "keys.jsonl")), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = fmt.Fprintf(f, "{\"id\":%q,\"last_used_at\":%d}\n", args[1], r.now.Unix())
		require.NoError(t, errors.Join(err, f.Close()))
		return ""
	case "wait":
		d, ok := parseSpan(args[1])
		require.True(t, ok, line)
		r.now = r.now.Add(d)
		return ""
	}
	args = append(args, "-store", filepath.Join(r.dir, "keys.jsonl"))
	var out, notes bytes.Buffer
	status := run(args, streams{strings.NewReader(stdin), &out, &notes, func() time.Time { return r.now }, outlives})
	text := r.shown(out.String())
	for note := range strings.Lines(r.shown(notes.String())) {
		text += "! " + note
	}
	if status != 0 {
		text += fmt.Sprintf("exit %d\n", status)
	}
	return text
}

// A key that is too long is refused, and no part of it is stored.
func TestLongKey(t *testing.T) {
	t.Parallel()
	for length, want := range map[int]int{64 << 10: 0, 64<<10 + 1: 1, 200_000: 1} {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		var notes bytes.Buffer
		std := streams{strings.NewReader(strings.Repeat("k", length) + "\n"), io.Discard, &notes, time.Now, outlives}
		assert.Equal(t, want, run([]string{"create", "-consumer", "bob", "-key-stdin", "-store", path}, std), length)
		assert.Equal(t, want == 1, strings.Contains(notes.String(), "-key-stdin: the key has more than 65536 bytes"), &notes)
		if want == 1 {
			assert.NoFileExists(t, path)
		}
	}
}

// Each file of testdata is a session: a line after "$ " is a command, what follows is what it prints, after "! " to
// standard error. go test ./keyauth/cli -run TestSessions -update writes it.
func TestSessions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.Greater(t, len(files), 3)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			r := &recorder{dir: t.TempDir(), names: map[string]string{}, real: map[string]string{}, count: map[string]int{}, now: today}
			var got strings.Builder
			for line := range strings.Lines(string(want)) {
				switch command, ok := strings.CutPrefix(line, "$ "); {
				case ok:
					got.WriteString(line + r.run(t, strings.TrimSpace(command)))
				case strings.HasPrefix(line, "#"), line == "\n":
					got.WriteString(line)
				}
			}
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got.String()), 0o600))
			}
			assert.Equal(t, string(want), got.String())
			if stored, err := os.ReadFile(filepath.Join(r.dir, "keys.jsonl")); err == nil {
				for name, secret := range r.real {
					assert.False(t, strings.HasPrefix(name, "KEY") && strings.Contains(string(stored), secret), "%s is stored in clear", name)
				}
			}
		})
	}
}
