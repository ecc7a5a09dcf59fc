package docs_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev"
	"kong-go-plugins/internal/kongdev/external"
)

// withoutRights is a user whom the modes of files hold back: this one, but for root.
func withoutRights() int {
	const nobody = 65534
	if user := os.Getuid(); user != 0 {
		return user
	}
	return nobody
}

// run runs a command without the environment of the tests and returns all that it says. It must fail.
func run(t *testing.T, user int, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=/usr/bin:/bin"}
	if user != os.Getuid() {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}} //nolint:gosec // a constant
	}
	out, err := cmd.CombinedOutput()
	require.ErrorAs(t, err, new(*exec.ExitError), "%s %v: %s", path, args, out)
	return string(out)
}

func (s *script) plugin(t *testing.T, args ...string) {
	t.Helper()
	s.WriteString(run(t, os.Getuid(), filepath.Join(bin, "moesif"), args...))
}

// A script collects what commands say that have ended.
type script struct{ strings.Builder }

func (s *script) said() func() string { return s.String }

// folder is a short one, since socket paths are limited, that other users may read.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kd")
	require.NoError(t, err)
	t.Cleanup(func() { _ = kongdev.RemovePrefix(dir) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // a test folder
	return dir
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func kongDoesNotStart(t *testing.T) func() string {
	var s script
	dir := folder(t)
	ask := func(command string) {
		_, err := external.Query(t.Context(), external.Server{Name: "moesif", QueryCmd: command})
		require.Error(t, err)
		s.WriteString(err.Error() + "\n")
	}
	ask("")
	ask("/nowhere/moesif -dump")
	ask(filepath.Join(bad, "plain") + " -dump") // the kernel says the same on a noexec mount
	ask(filepath.Join(bad, "foreign") + " -dump")

	downloaded := filepath.Join(dir, "moesif-linux-amd64")
	require.NoError(t, os.Link(filepath.Join(bin, "moesif"), downloaded))
	noted := exec.CommandContext(t.Context(), downloaded, "-dump")
	noted.Stderr = &s
	out, err := noted.Output()
	require.NoError(t, err)
	_, problems := external.CheckDump("moesif", out)
	require.NotEmpty(t, problems)
	for _, p := range problems {
		s.WriteString(p.Error() + "\n")
	}
	start := func(config string) {
		s.WriteString(run(t, os.Getuid(), filepath.Join(bin, "kongdev"), "-f", write(t, dir, "kong.yml", config), "-plugins", bin, "-listen", "127.0.0.1:0", "-admin", "off"))
	}
	start(`
_format_version: "3.0"
plugins:
- {name: moesif, config: {batch_size: 0}}
- {name: keyauth, config: {key_names: apikey, keynames: []}}
`)
	start("_format_version: \"3.0\"\nplugins: [{name: request-size-limiting}]\n")
	start(`
_format_version: "3.0"
plugins:
- {name: moesif, config: {application_id: a}}
- {name: moesif, config: {application_id: b}}
`)
	return s.said()
}

func pluginDoesNotStart(t *testing.T) func() string {
	var s script
	dir := folder(t)
	s.plugin(t, "-kong-prefix", filepath.Join(dir, "none"))
	s.plugin(t, "-kong-prefix", write(t, dir, "file", ""))
	s.plugin(t, "-kong-prefix", filepath.Join(dir, strings.Repeat("long", 30)))
	write(t, dir, "moesif.socket", "")
	s.plugin(t, "-kong-prefix", dir)
	s.plugin(t, "-prefix", dir)
	s.plugin(t, "-phases", "acces")
	s.plugin(t, "-metrics", "9542")

	closed := filepath.Join(dir, "closed")
	require.NoError(t, os.Mkdir(closed, 0o555)) //nolint:gosec // a test folder
	s.WriteString(run(t, withoutRights(), filepath.Join(bin, "moesif"), "-kong-prefix", closed))
	return s.said()
}

func checkFails(t *testing.T) func() string {
	prefixes := []string{
		folder(t), // nothing is there
		listening(t, nil),
		listening(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }), // until the check gives up
		listening(t, func(c net.Conn) { _, _ = io.ReadFull(c, make([]byte, 4)) }),
		listening(t, func(c net.Conn) {
			_, _ = io.ReadFull(c, make([]byte, 4))
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			_, _ = io.Copy(io.Discard, c)
		}),
	}
	closed := listening(t, func(net.Conn) {})
	require.NoError(t, os.Chmod(filepath.Join(closed, "moesif.socket"), 0))
	var s script
	return func() string {
		s.WriteString(run(t, withoutRights(), filepath.Join(bin, "moesif"), "-check", "-kong-prefix", closed))
		for _, prefix := range prefixes { // on a busy machine a second may not be enough for one of these servers
			s.plugin(t, "-check", "-kong-prefix", prefix)
		}
		return s.String()
	}
}

// listening is a prefix in which something has the plugin's socket; without serve it has ended.
func listening(t *testing.T, serve func(net.Conn)) (prefix string) {
	t.Helper()
	prefix = folder(t)
	l, err := net.Listen("unix", filepath.Join(prefix, "moesif.socket"))
	require.NoError(t, err)
	if serve == nil {
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		require.NoError(t, l.Close())
		return prefix
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serve(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return prefix
}

func validateFindsMistakes(t *testing.T) func() string {
	var s script
	dir := folder(t)
	for plugin, text := range map[string]string{
		"moesif": `
_format_version: "3.0"
plugins:
- name: moesif
  config: {aplication_id: a, batch_size: 0, flush_after_ms: soon}
`,
		"keyauth": `
_format_version: "3.0"
plugins:
- name: keyauth
  config: {key_names: apikey}
`,
		"datakit": `
_format_version: "3.0"
plugins:
- name: datakit
  config:
    nodes:
    - {name: A, type: jq, input: B, jq: ".["}
    - {name: B, type: jq, input: A, jq: "."}
`} {
		s.WriteString(run(t, os.Getuid(), filepath.Join(bin, plugin), "-validate", write(t, dir, plugin+".yml", text)))
	}
	s.plugin(t, "-validate", write(t, dir, "other.yml", "_format_version: \"3.0\"\nplugins:\n- {nam: moesif}\n"))
	s.plugin(t, "-validate", write(t, dir, "broken.yml", "plugins: ["))
	s.plugin(t, "-validate", filepath.Join(dir, "none.yml"))
	return s.said()
}
