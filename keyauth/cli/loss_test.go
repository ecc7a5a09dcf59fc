package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Commands that write keys say that the file will be lost; standard output has the key alone.
func TestWarningOfLoss(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	do := func(stdin, line string) (out, notes string) {
		var o, n bytes.Buffer
		lost := func(asked string) []string {
			assert.Equal(t, path, asked)
			return []string{"it will be lost"}
		}
		args := append(strings.Fields(line), "-store", path)
		require.Zero(t, run(args, streams{strings.NewReader(stdin), &o, &n, time.Now, lost}), "%s", &n)
		return o.String(), n.String()
	}
	out, notes := do("", "create -consumer alice")
	assert.Contains(t, notes, "warning: it will be lost\n")
	assert.NotContains(t, out, "lost")
	const file = `{"_format_version": "3.0", "keyauth_credentials": [{"key": "12345678901234567890", "consumer": "bob"}]}`
	_, notes = do(file, "import -from - -dry-run")
	assert.Empty(t, notes)
	_, notes = do(file, "import -from -")
	assert.Contains(t, notes, "warning: it will be lost\n")
	_, notes = do("12345678901234567890\n", "rotate -key-stdin")
	assert.Contains(t, notes, "warning: it will be lost\n")
	_, notes = do("", "list")
	assert.Empty(t, notes)
}
