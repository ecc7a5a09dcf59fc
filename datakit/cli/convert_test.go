package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConvertCommand(t *testing.T) {
	t.Parallel()
	run := func(text string, flags ...string) (status int, stdout, stderr string) {
		file := filepath.Join(t.TempDir(), "old.yml")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		var out, errs strings.Builder
		status = Run(append(append([]string{"convert"}, flags...), file), &out, &errs)
		return status, out.String(), strings.ReplaceAll(errs.String(), file, "old.yml")
	}
	status, stdout, stderr := run("nodes:\n- {name: A, type: jq, inputs: [{x: request.body}], jq: $x.a}\n")
	assert.Equal(t, exitGood, status)
	assert.Equal(t, "nodes:\n  - {name: A, type: jq, inputs: {x: request.body}, jq: .x.a}\n", stdout)
	assert.Empty(t, stderr)

	status, stdout, stderr = run("nodes:\n- {name: A, type: handlebars}\n")
	assert.Equal(t, exitBad, status)
	assert.Contains(t, stdout, "handlebars", "the file is written all the same")
	assert.Contains(t, stderr, "old.yml:2: node A: to do: there are no templates")

	status, stdout, stderr = run("a: b")
	assert.Equal(t, exitUsage, status)
	assert.Empty(t, stdout)
	assert.Equal(t, "datakit convert: old.yml: there is no workflow: no list called nodes whose items have a type\n", stderr)

	status, _, stderr = run("nodes: []", "another.yml")
	assert.Equal(t, exitUsage, status)
	assert.Contains(t, stderr, "expected one file, got 2")
}
