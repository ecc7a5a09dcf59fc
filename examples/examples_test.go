// Package examples_test runs each example as its comment says, and compares what it prints with its output.txt.
package examples_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
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

var update = flag.Bool("update", false, "write what the examples print into their output.txt")

const (
	root     = ".."
	program  = "go run ./cmd/kongdev"
	patience = 5 * time.Minute // for one example, on a busy machine
)

// runLine is the command in the comment at the top of a kong.yml.
var runLine = regexp.MustCompile(`(?m)^#   (` + regexp.QuoteMeta(program) + ` .* -- \S+)$`)

// A new example is a folder with kong.yml, try.sh and output.txt; go test ./examples -update writes the last.
func TestExamples(t *testing.T) {
	t.Parallel()
	bin := build(t)
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	require.NoError(t, err)
	for _, dir := range folders(t) {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			assert.True(t, strings.Contains(string(readme), "(examples/"+dir+"/kong.yml)"), "the README's table of examples leads here")
			config, err := os.ReadFile(filepath.Join(dir, "kong.yml"))
			require.NoError(t, err)
			found := runLine.FindSubmatch(config)
			require.NotNil(t, found, "kong.yml says how it is run, with %s at the start of the line and a script behind --", program)
			command := string(found[1])
			require.Contains(t, command, " -f examples/"+dir+"/kong.yml ")
			require.True(t, strings.HasSuffix(command, " -- examples/"+dir+"/try.sh"), command)

			got := run(t, bin, command)
			file := filepath.Join(dir, "output.txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err, "what the example prints; -update writes it")
			assert.Equal(t, string(want), got)
		})
	}
}

// folders are those that hold files of an example.
func folders(t *testing.T) (dirs []string) {
	require.NoError(t, filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err == nil && path == "datakit":
			return filepath.SkipDir // one request each, with its outcome: run by the tests of the plugin
		case err == nil && (path == "configure" || path == "render"):
			return filepath.SkipDir // configurations for each tool, and what writes them: checked by the tests of render
		}
		if err == nil && !d.IsDir() && filepath.Dir(path) != "." {
			if dir := filepath.Dir(path); len(dirs) == 0 || dirs[len(dirs)-1] != dir {
				dirs = append(dirs, dir)
			}
		}
		return err
	}))
	require.NotEmpty(t, dirs)
	return dirs
}

// build compiles kongdev and the plugins.
func build(t *testing.T) string {
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin+string(filepath.Separator), "kong-go-plugins/cmd/...").CombinedOutput()
	require.NoError(t, err, string(out))
	return bin
}

// run runs an example on ports of its own and returns what its script prints.
func run(t *testing.T, bin, command string) string {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	metrics := loopbackAddress()
	command = strings.NewReplacer(
		program, bin+"/kongdev -plugins "+bin+" -listen 127.0.0.1:0 -admin 127.0.0.1:0",
		"127.0.0.1:9542", metrics,
	).Replace(command)
	cmd := exec.CommandContext(ctx, "bash", "-c", "exec "+command)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "METRICS="+metrics, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // plugins end with it
	cmd.WaitDelay = time.Minute
	var log strings.Builder
	cmd.Stderr = &log
	out, err := cmd.Output()
	require.NoError(t, err, "%s\nprinted:\n%s\nlog:\n%s", command, out, &log)
	return string(out)
}

// loopbackAddress is an address of this machine that nobody else listens on: a free port of 127.0.0.1 may be somebody else's
// by the time it is used.
func loopbackAddress() string {
	return fmt.Sprintf("127.%d.%d.%d:9542", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
}
