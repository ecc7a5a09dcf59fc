package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

// -plugin-flags reach the query command and the start command as a shell reads them.
func TestPluginFlags(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "p"), `#!/bin/sh
for last; do :; done
[ "$last" = -dump ] || { echo "started with <$1> <$2>" >&2; exit 1; }
echo '{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Phases":["'"$2"'"],"Version":"1.0.0","Priority":1,"Schema":{"name":"p","fields":[{"config":{"type":"record","fields":[]}}]}}]}'
`, 0o755)
	file := writeFile(t, filepath.Join(dir, "kong.yml"), `_format_version: "3.0"
services: [{name: up, url: "http://echo.kongdev", routes: [{paths: [/]}]}]
plugins: [{name: p}]
`, 0o600)
	args := []string{"-f", file, "-plugins", dir, "-listen", "127.0.0.1:0", "-admin", "off"}
	s, err := parseFlags(append(args, "-plugin-flags", "p=-phases 'rewrite'"), nil)
	assert.NoError(t, err)
	s.ready = 1 // the plugin never listens
	var errOut output
	_, err = start(t.Context(), s, &errOut)
	assert.ErrorContains(t, err, "plugin server p does not listen")
	for _, c := range []struct {
		flags []string
		code  int
		text  string
	}{
		{[]string{"-plugin-flags", "q=-x"}, 1, `plugin "q": it gets flags, and nothing configures it`},
		{[]string{"-plugin-flags", "p"}, 2, "give it as NAME=FLAGS, like moesif="},
		{[]string{"-plugin-flags", "p=-x", "-plugin-flags", "p=-y"}, 2, "plugin p has flags already"},
		{[]string{"-collector-config", filepath.Join(dir, "none")}, 1, "no such file or directory; name another file with -collector-config"},
		{[]string{"-collector-rules", file}, 1, "rules must be a JSON array"},
	} {
		code, _, stderr := runCommand(t, append(args[:len(args):len(args)], c.flags...)...)
		assert.Equal(t, c.code, code, c.flags)
		assert.Contains(t, stderr, c.text)
	}
}

// A shell can change what the collector answers while kongdev runs.
func TestCollectorAtTheShell(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "kong.yml"), `_format_version: "3.0"
services: [{name: up, url: "http://collector.kongdev", routes: [{paths: [/]}]}]
`, 0o600)
	config := writeFile(t, filepath.Join(dir, "config.json"), `{"sample_rate":11}`, 0o600)
	rules := writeFile(t, filepath.Join(dir, "rules.json"), `[{"_id":"first"}]`, 0o600)
	code, stdout, stderr := runCommand(t, "-f", file, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "-collector-config", config, "-collector-rules", rules, "--", "sh", "-c", `
ask() { curl -s -H 'X-Moesif-Application-Id: a' "$KONGDEV_URL/v1/$1"; echo; }
ask config; ask rules
echo '[{"_id":"second rule"}]' > `+rules+`
ask rules
curl -s -X PUT -d '{"sample_rate":22}' "$KONGDEV_ADMIN_URL/kongdev/collector/config" >/dev/null
ask config
curl -s -X PUT -d '{"status":503,"all":true}' "$KONGDEV_ADMIN_URL/kongdev/collector/fault"
ask config
curl -s -X DELETE "$KONGDEV_ADMIN_URL/kongdev/collector/fault"
ask config
`)
	assert.Equal(t, 0, code, stderr)
	assert.Equal(t, `{"sample_rate":11}
[{"_id":"first"}]
[{"_id":"second rule"}]

{"sample_rate":22}
{"status":503,"all":true}
{"error":"told to fail"}

{}
{"sample_rate":22}
`, stdout)
}
