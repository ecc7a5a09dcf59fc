package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// output is a buffer for a command that is still running.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// runCommand runs kongdev to its end.
func runCommand(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errOut output
	code = run(ctx, args, &out, &errOut)
	require.NoError(t, ctx.Err(), "it ended by itself; stderr: %s", &errOut)
	return code, out.String(), errOut.String()
}

func writeFile(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	require.NoError(t, os.WriteFile(name, []byte(content), mode))
	return name
}

// plugins makes a folder with one plugin, "p", whose server ends at once.
func plugins(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "p"), `#!/bin/sh
[ "$1" = -dump ] || { echo "cannot start: no colours left" >&2; exit 1; }
echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Phases":["log"],"Version":"1.0.0","Priority":1,
"Schema":{"name":"p","fields":[{"config":{"type":"record","fields":[{"size":{"type":"integer","between":[1,9]}}]}}]}}]}'
`, 0o755)
	return dir
}

func TestFlags(t *testing.T) {
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"help", []string{"-help"}, 0, "", "not for production"},
		{"help lists the flags", []string{"-help"}, 0, "", "-prefix DIR"},
		{"help lists the upstream's paths", []string{"-help"}, 0, "", "/delay/MS"},
		{"version", []string{"-version"}, 0, "imitates Kong Gateway 3.9.1", ""},
		{"unknown flag", []string{"-x"}, 2, "", "kongdev: flag provided but not defined: -x; -help lists the flags\n"},
		{"no number", []string{"-workers", "two"}, 2, "", "kongdev: invalid value \"two\" for flag -workers: parse error; -help lists the flags\n"},
		{"no file", nil, 2, "", "kongdev: no configuration: name one with -f kong.yml; -help lists the flags"},
		{"argument", []string{"-f", "a", "b"}, 2, "", `unexpected argument "b"`},
		{"workers", []string{"-f", "a", "-workers", "0"}, 2, "", "-workers 0: 1 to 64 are possible"},
		{"once alone", []string{"-f", "a", "-once"}, 2, "", "-once goes with -demo"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, tt.args...)
			assert.Equal(t, tt.code, code)
			assert.Contains(t, stdout, tt.stdout)
			assert.Contains(t, stderr, tt.stderr)
			if tt.code == 2 {
				assert.Equal(t, 1, strings.Count(stderr, "\n"), "a mistake is not followed by the help: %s", stderr)
			}
		})
	}
}

func TestDemoTakesFreePorts(t *testing.T) {
	s, err := parseFlags([]string{"-f", "x", "-demo"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []string{"127.0.0.1:0", "127.0.0.1:0", "warn"}, []string{s.listen, s.admin, s.logLevel})
	s, err = parseFlags([]string{"-f", "x", "-demo", "-listen", "127.0.0.1:1", "-admin", "off", "-log-level", "info"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, []string{"127.0.0.1:1", "off", "info"}, []string{s.listen, s.admin, s.logLevel})
	assert.Equal(t, "127.0.0.1:0", s.console)
	s, err = parseFlags([]string{"-f", "x", "-demo", "-once"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, "off", s.console, "nobody could look at it")
}

// Whatever is wrong is said in a line that names cause and remedy, exit 1.
func TestBadInput(t *testing.T) {
	const header = "_format_version: \"3.0\"\n"
	dir := t.TempDir()
	config := func(name, content string) string { return writeFile(t, filepath.Join(dir, name), content, 0o600) }
	good := config("good.yml", header+"plugins: [{name: p}]\n")
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	busy := taken.Addr().String()
	folder := plugins(t)
	file := writeFile(t, filepath.Join(dir, "file"), "", 0o600)
	long := filepath.Join(dir, strings.Repeat("x", 100))
	free := []string{"-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-plugins", folder}

	tests := []struct {
		name string
		args []string
		want []string
	}{
		{"no such file", []string{"-f", dir + "/none.yml"}, []string{"kongdev: configuration: open " + dir + "/none.yml: no such file or directory; name a file in Kong's declarative format with -f\n"}},
		{"file is a folder", []string{"-f", dir}, []string{"is a directory; name a file"}},
		{"wrong kong.yml", []string{"-f", config("wrong.yml", header+"services: [{name: a}]\nplugin: []\n")}, []string{
			dir + "/wrong.yml:2: services[0]: host: required field missing (or give url: http://...)\n",
			dir + "/wrong.yml:3: plugin: unknown field (did you mean \"plugins\"?)\n",
			"kongdev: not started: 2 mistakes in the configuration\n",
		}},
		{"wrong config", []string{"-f", config("config.yml", header+"plugins:\n- name: p\n  config:\n    size: 10\n    sise: 1\n")}, []string{
			dir + "/config.yml:5: plugins[0].config.size: value should be between 1 and 9\n",
			dir + "/config.yml:6: plugins[0].config.sise: unknown field",
			"kongdev: not started: 2 mistakes in the configuration\n",
		}},
		{"everything at once", []string{"-f", config("all.yml", header+"services: [{name: a}]\nplugins:\n- name: p\n  service: b\n  config: {size: 10}\n- {name: p, config: 1}\n")}, []string{
			dir + "/all.yml:2: services[0]: host: required field missing",
			dir + "/all.yml:5: plugins[0].service: invalid reference 'service: b' (no such entry in 'services')",
			dir + "/all.yml:6: plugins[0].config.size: value should be between 1 and 9\n",
			dir + "/all.yml:7: plugins[1].config: expected a record\n",
			"kongdev: not started: 4 mistakes in the configuration\n",
		}},
		{"a mistake and a missing binary", []string{"-f", config("both.yml", header+"plugins: [{name: q, enabled: 1}]\n")}, []string{
			dir + "/both.yml:2: plugins[0].enabled: expected a boolean\n", `kongdev: plugin "q": no binary ` + folder + "/q",
		}},
		{"missing binary", []string{"-f", config("missing.yml", header+"plugins: [{name: q}]\n")}, []string{
			`kongdev: plugin "q": no binary ` + folder + "/q", "or name another folder with -plugins\n",
		}},
		{"a plugin of Kong's", []string{"-f", config("lua.yml", header+"plugins: [{name: key-auth}]\n")}, []string{
			dir + "/lua.yml:2: plugins[0].name: plugin 'key-auth' not enabled; add it to the 'plugins' configuration property (it is written in Lua and part of Kong",
		}},
		{"no such folder of plugins", []string{"-f", good, "-plugins", dir + "/none"}, []string{"no such file or directory; name the folder with the plugin binaries by -plugins\n"}},
		{"port in use", []string{"-f", good, "-listen", busy}, []string{"kongdev: proxy: address " + busy + " is in use by another process; stop it or choose another address with -listen\n"}},
		{"console port in use", []string{"-f", good, "-console", busy}, []string{"kongdev: console: address " + busy + " is in use by another process; stop it or choose another address with -console\n"}},
		{"console for everybody", []string{"-f", good, "-console", "0.0.0.0:8002"}, []string{"kongdev: console: 0.0.0.0:8002 is no address of this machine alone, and the console shows what plugins are told; use 127.0.0.1:8002"}},
		{"listen flags", []string{"-f", good, "-listen", "127.0.0.1:0 tls"}, []string{`kongdev: listen "127.0.0.1:0 tls": unknown flag "tls"; give it as Kong's proxy_listen`}},
		{"admin port in use", []string{"-f", good, "-admin", busy}, []string{"kongdev: admin API: address " + busy + " is in use by another process; stop it or choose another address with -admin; -admin off does without\n"}},
		{"prefix below a file", []string{"-f", good, "-prefix", file + "/prefix"}, []string{"kongdev: prefix " + file + "/prefix cannot be used: mkdir " + file + ": not a directory; choose a folder that can be written with -prefix\n"}},
		{"prefix is too long", []string{"-f", good, "-prefix", long}, []string{"bytes and 107 are possible; choose a shorter one with -prefix\n"}},
		{"log level", []string{"-f", good, "-log-level", "loud"}, []string{`kongdev: log level: "loud" is not one of`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, append(append([]string{}, free...), tt.args...)...)
			assert.Equal(t, 1, code)
			assert.Empty(t, stdout)
			for _, want := range tt.want {
				assert.Contains(t, stderr, want)
			}
		})
	}
}

func TestPluginThatDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	var log output
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // the plugin may take its time to say what is wrong
		for ctx.Err() == nil && !strings.Contains(log.String(), "cannot start: no colours left") {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	_, err := start(ctx, settings{
		file:   writeFile(t, filepath.Join(dir, "kong.yml"), "_format_version: \"3.0\"\nplugins: [{name: p}]\n", 0o600),
		listen: "127.0.0.1:0", admin: "off", plugins: plugins(t), workers: 1, ready: time.Minute, logLevel: "info",
	}, &log)
	require.ErrorContains(t, err, "plugin server p does not listen on")
	assert.ErrorContains(t, err, "its own words are in the log above")
	assert.Contains(t, log.String(), "cannot start: no colours left")
}

func TestStopWhileStarting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errOut output
	code := run(ctx, []string{"-f", writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), "_format_version: \"3.0\"\nplugins: [{name: p}]\n", 0o600),
		"-listen", "127.0.0.1:0", "-admin", "off", "-plugins", plugins(t)}, &out, &errOut)
	assert.Equal(t, 0, code, errOut.String())
	assert.NotContains(t, errOut.String(), "kongdev:")
}

// Without any plugin it is a plain gateway; it serves until it is told to
// stop and leaves nothing behind.
func TestServeWithoutPlugins(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), `_format_version: "3.0"
_transform: false
services: [{name: up, url: "http://echo.kongdev", routes: [{paths: [/]}]}]
`, 0o600)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errOut output
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, &out, &errOut)
	}()
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "stop with Ctrl-C") }, time.Minute, 5*time.Millisecond)
	assert.Contains(t, out.String(), "not for production")
	assert.Contains(t, out.String(), "1 service, 1 route, 0 consumers, 0 plugins")
	assert.Contains(t, out.String(), file+":2: _transform: ignored")

	address := func(label string) string {
		for line := range strings.Lines(out.String()) {
			if f := strings.Fields(line); len(f) > 1 && f[0] == label {
				return f[1]
			}
		}
		return ""
	}
	resp, err := http.Get(address("proxy") + "/ok")
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	assert.JSONEq(t, `{"ok":true}`, string(body))
	resp, err = http.Get(address("admin") + "/services/up")
	require.NoError(t, err)
	defer resp.Body.Close()
	var service map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&service))
	assert.Equal(t, "echo.kongdev", service["host"])

	stop()
	assert.Equal(t, 0, <-ended)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left, "the temporary prefix is gone")
}

// closedPipe is a stdout that nobody reads any more.
type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestEndsWhenNobodyReads(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), "_format_version: \"3.0\"\n", 0o600)
	for args, want := range map[string]int{"": 0, "-demo": 0, "-demo -once": 1} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		code := run(ctx, append([]string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "off"}, strings.Fields(args)...), closedPipe{}, io.Discard)
		require.NoError(t, ctx.Err(), "it ended by itself")
		cancel()
		assert.Equal(t, want, code, args)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Empty(t, left, "in order")
}

func TestWarnsOfOtherMachines(t *testing.T) {
	for host, want := range map[string]bool{"127.0.0.1": true, "localhost": true, "::1": true, "127.9.9.9": true, "": false, "0.0.0.0": false, "192.0.2.1": false} {
		assert.Equal(t, want, isLoopback(host), host)
	}
}
