package datakit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file is read again when it has changed, also when another one takes its place; when it goes, its last value stays.
func TestVaultFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "key")
	synctest.Test(t, func(t *testing.T) {
		var reports []string
		e := NewEngine(func(_, text string) { reports = append(reports, text) })
		defer func() { require.NoError(t, e.Close(t.Context())) }()
		p, err := compileWith(t, e, "debug: true\nresources: {vault: {key: '{file://"+file+"}', fixed: here}}\nnodes:\n"+
			"- {name: A, type: jq, jq: '.key + \"/\" + .fixed', inputs: {key: vault.key, fixed: vault.fixed}}\n"+
			"- {name: EXIT, type: exit, inputs: {body: A}}")
		require.NoError(t, err)
		answer := func() string {
			o := p.Access(t.Context(), &testHost{}, true)
			trace, err := o.Trace.MarshalJSON()
			require.NoError(t, err)
			assert.NotContains(t, string(trace), "zebra")
			if o.Failure != nil {
				return p.failureText(o.Failure)
			}
			return string(o.Answer.Body)
		}
		missing := `node vault failed with error: "key: its file cannot be used: no such file or directory"`
		assert.Equal(t, missing, answer())
		require.NoError(t, os.WriteFile(file, []byte("zebra-1\n"), 0o600))
		assert.Equal(t, missing, answer(), "it is looked at once a second")
		time.Sleep(time.Second)
		assert.Equal(t, "zebra-1/here", answer())

		require.NoError(t, os.WriteFile(file+".new", []byte("zebra-2\r\n"), 0o600))
		require.NoError(t, os.Rename(file+".new", file))
		assert.Equal(t, "zebra-1/here", answer())
		time.Sleep(time.Second)
		assert.Equal(t, "zebra-2/here", answer())
		assert.Empty(t, reports)

		for _, bad := range []string{"", "\n", strings.Repeat("x", maxSecretFile+1)} {
			require.NoError(t, os.WriteFile(file, []byte(bad), 0o600))
			time.Sleep(time.Second)
			assert.Equal(t, "zebra-2/here", answer())
		}
		require.NoError(t, os.Remove(file))
		time.Sleep(time.Second)
		assert.Equal(t, "zebra-2/here", answer())
		assert.Contains(t, strings.Join(reports, "\n"), "vault: key keeps its last value, because its file cannot be used: it is empty")
		assert.NotContains(t, strings.Join(reports, "\n"), "zebra")
		require.NoError(t, os.WriteFile(file, []byte("zebra-3"), 0o600))
		time.Sleep(time.Second)
		assert.Equal(t, "zebra-3/here", answer())
	})
}

func TestVaultReferences(t *testing.T) {
	t.Parallel()
	for value, ok := range map[string]bool{
		"{file:///etc/key}": true, "{file://etc/key}": false, "{file:/etc/key}": false, "{file:///etc/key": false, "file:///etc/key": true,
		"{file:///}": true, "{files}": true,
	} {
		_, err := compileText(t, "resources: {vault: {k: '"+value+"'}}\nnodes:\n- {name: A, type: jq, jq: '.', inputs: {k: vault.k}}")
		if ok {
			require.NoError(t, err, value)
		} else {
			require.EqualError(t, err, "resources.vault.k: is no reference to a file: expected {file:///PATH} with an absolute path", value)
		}
	}
}

// What a reference that nobody could resolve has left fails the node that needs it, and the operator is told which one.
func TestEmptyVaultValue(t *testing.T) {
	t.Parallel()
	p := mustCompile(t, "resources: {vault: {k: '', other: ''}}\nnodes:\n- {name: A, type: jq, jq: '.', inputs: {k: vault.k}}")
	o := p.Access(t.Context(), &testHost{}, false)
	require.NotNil(t, o.Failure)
	assert.Contains(t, p.failureText(o.Failure), "empty: k; a reference that the gateway cannot resolve arrives as an empty text")
}
