package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCommandBehindTheGateway(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\n", 0o600)
	args := []string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "127.0.0.1:0", "--"}
	for _, c := range []struct {
		command []string
		code    int
		stdout  string
		stderr  string
	}{
		{[]string{"sh", "-c", "exit 3"}, 3, "", ""},
		{[]string{"sh", "-c", "kill -9 $$"}, 137, "", ""},
		{[]string{"/nowhere/at/all"}, 127, "", "kongdev: fork/exec /nowhere/at/all: no such file or directory\n"},
		{[]string{"sh", "-c", `curl -s "$KONGDEV_URL/text"; curl -s "$KONGDEV_ADMIN_URL/services/up" | grep -o '"host":"[^"]*"'`}, 0, "\"host\":\"echo.kongdev\"\n", ""},
	} {
		code, stdout, stderr := runCommand(t, append(args[:len(args):len(args)], c.command...)...)
		assert.Equal(t, c.code, code, c.command)
		assert.Contains(t, stdout, c.stdout)
		assert.Contains(t, stderr, c.stderr)
	}
	code, _, stderr := runCommand(t, "-f", file, "-demo", "--", "true")
	assert.Equal(t, 2, code)
	assert.Contains(t, stderr, "-demo goes without a command")
}
