package main

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCheckCommand(t *testing.T) {
	dir := plugins(t)
	bad := writeFile(t, filepath.Join(dir, "bad"), "#!/bin/sh\necho '{\"Plugins\":[{\"Name\":\"bad\",\"Priority\":1.5}]}'\n", 0o755)
	plain := writeFile(t, filepath.Join(dir, "plain"), "", 0o600)
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		{"help", []string{"-help"}, 0, nil, "usage: kongdev check PLUGIN ..."},
		{"no plugin", nil, 2, nil, "kongdev: check: no plugin: name one or more binaries; kongdev check -help tells more\n"},
		{"unknown flag", []string{"-x"}, 2, nil, "kongdev: check: flag provided but not defined: -x; kongdev check -help tells more\n"},
		{"good", []string{dir + "/p"}, 0, []string{"✓ " + dir + "/p: Kong takes it: p 1.0.0, priority 1, phases log\n"}, ""},
		{"a query command", []string{dir + "/p -dump"}, 0, []string{"Kong takes it: p 1.0.0"}, ""},
		{"good and bad", []string{dir + "/p", bad}, 1, []string{
			"✓ " + dir + "/p", "✗ " + bad + ": 4 problems\n",
			"  refused  Plugin \"bad\" cannot be loaded because its PRIORITY field is not a valid integer number, got: \"1.5\".\n           remedy: give \"Priority\" as a whole number\n",
			"  refused  Plugin \"bad\" cannot be loaded because its VERSION field", "  refused  bad argument #1 to 'for iterator'", "  refused  no configuration schema found for plugin: bad",
			"  remark   protocol \"MsgPack:1\" is not in kongdev",
		}, ""},
		{"no such file", []string{dir + "/none"}, 1, nil, "kongdev: check: stat " + dir + "/none: no such file or directory; name a binary, or a query command in quotes\n"},
		{"no executable", []string{plain}, 1, nil, plain + " is no executable file; make it one with chmod +x\n"},
		{"a folder", []string{dir}, 1, nil, dir + " is no file; name the binary in it\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := runCommand(t, append([]string{"check"}, c.args...)...)
			assert.Equal(t, c.code, code)
			if c.stdout == nil {
				assert.Empty(t, stdout)
			}
			for _, want := range c.stdout {
				assert.Contains(t, stdout, want)
			}
			assert.Contains(t, stderr, c.stderr)
		})
	}
}
