package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev/external"
)

// kongdev replay at the command line: with -socket, several files, errors with cause and remedy.
func TestReplayCommand(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, all []frames.Frame) string {
		file, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		defer file.Close()
		w := frames.NewWriter(file, time.Now())
		for _, f := range all {
			require.NoError(t, w.Write(f, time.Now(), f.Payload()))
		}
		return file.Name()
	}
	kong := writeFile(t, filepath.Join(dir, "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: a}}]\n", 0o600)
	binary := filepath.Join(builtMoesif(t), "moesif")
	good := filepath.Join(dir, "good.jsonl")
	code, _, stderr := runCommand(t, "-f", kong, "-plugins", filepath.Dir(binary), "-listen", "127.0.0.1:0", "-admin", "off", "-record", good, "--", "sh", "-c", `curl -s "$KONGDEV_URL/ok"`)
	require.Equal(t, 0, code, stderr)
	recorded, err := readRecording(good)
	require.NoError(t, err)
	began := 0
	for i, f := range recorded {
		if f.Kind == frames.Call && began == 0 && i > 1 {
			began = i // the first event
		}
	}
	more := write("more.jsonl", recorded[began:])
	prefix, err := os.MkdirTemp("", "kd") // short: socket paths are limited
	require.NoError(t, err)
	defer os.RemoveAll(prefix)
	stop, err := external.Run(external.Server{Name: "moesif", StartCmd: binary + " -kong-prefix " + prefix}, io.Discard, "")
	require.NoError(t, err)
	defer stop()
	s := struct{ socket string }{filepath.Join(prefix, "moesif.socket")}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"help", []string{"-help"}, 0, "", "usage: kongdev replay -plugin PLUGIN [flags] FILE ..."},
		{"no file", []string{"-socket", s.socket}, 2, "", "kongdev: replay: no recording: name one or more files; kongdev replay -help tells more\n"},
		{"no plugin", []string{good}, 2, "", "no plugin server: name one with -plugin or -socket, not both"},
		{"two", []string{"-plugin", "x", "-socket", "x", good}, 2, "", "not both"},
		{"unknown flag", []string{"-x"}, 2, "", "kongdev: replay: flag provided but not defined: -x; kongdev replay -help tells more\n"},
		{"timeout", []string{"-socket", "x", "-timeout", "0s", good}, 2, "", "-timeout must be more than 0"},
		{"as recorded", []string{"-socket", s.socket, good}, 0, "✓ 1 recording played: 1 instance, 3 events, ", ""},
		{"two files", []string{"-socket", s.socket, good, more}, 0, "✓ 2 recordings played: 1 instance, 6 events, ", ""},
		{"a binary", []string{"-plugin", binary, good}, 0, "✓ 1 recording played: ", ""},
		{"a start command", []string{"-plugin", binary + " -log-level debug", good}, 0, "✓ 1 recording played: ", ""},
		{"exact", []string{"-socket", s.socket, "-exact", good, more}, 1, "✗ " + more + ": frame 1: access of instance ", ""},
		{"what is new is shown", []string{"-socket", s.socket, "-exact", good}, 1, "kong.response.set_header: the arguments differ\n    recorded  \"X-Moesif-Transaction-Id\", ", ""},
		{"the second alone", []string{"-socket", s.socket, more}, 1, "", "kongdev: replay: recording " + more + ": frame 1: RpcCall on connection 1: instance "},
		{"no such file", []string{"-socket", s.socket, dir + "/none"}, 1, "", "no such file or directory; name a file that kongdev -record has written\n"},
		{"no recording", []string{"-socket", s.socket, writeFile(t, dir+"/text", "hello", 0o600)}, 1, "", "kongdev: replay: recording " + dir + "/text: line 1: not a frame of a recording"},
		{"empty", []string{"-socket", s.socket, writeFile(t, dir+"/empty", "", 0o600)}, 1, "", "it is empty; was a request sent while it was recorded?"},
		{"no such plugin", []string{"-plugin", dir + "/none", good}, 1, "", "no such file or directory; name a binary, or a query command in quotes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, append([]string{"replay"}, c.args...)...)
			assert.Equal(t, c.code, code)
			if c.stdout == "" {
				assert.Empty(t, stdout)
			}
			assert.Contains(t, stdout, c.stdout)
			assert.Contains(t, stderr, c.stderr)
		})
	}
}
