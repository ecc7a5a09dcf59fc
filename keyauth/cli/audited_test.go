package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every change stands in the audit file, and no key.
func TestAuditFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	audit := filepath.Join(dir, "audit.jsonl")
	do := func(stdin, line, auditFile string) (status int, out, notes string) {
		var o, n bytes.Buffer
		args := append(strings.Fields(line), "-store", filepath.Join(dir, "keys.jsonl"), "-audit-file", auditFile)
		status = run(args, streams{strings.NewReader(stdin), &o, &n, time.Now, outlives})
		return status, o.String(), n.String()
	}
	_, key, _ := do("", "create -consumer alice -create-consumer", audit)
	for _, command := range []string{"disable", "enable", "rotate", "revoke"} {
		status, _, notes := do(key, command+" -key-stdin", audit)
		require.Zero(t, status, notes)
	}
	do(`{"_format_version": "3.0", "keyauth_credentials": [{"key": "12345678901234567890", "consumer": "bob"}]}`, "import -from -", audit)
	do("", "list", audit)
	text, err := os.ReadFile(audit)
	require.NoError(t, err)
	var got []string
	for line := range strings.Lines(string(text)) {
		var e struct {
			Time, Who, Action, Entity, ID string
			Fields                        []string
		}
		require.NoError(t, json.Unmarshal([]byte(line), &e))
		assert.NotEmpty(t, e.Time)
		assert.NotEmpty(t, e.ID)
		assert.Regexp(t, `^uid:\d+$`, e.Who)
		got = append(got, strings.TrimSpace(e.Action+" "+e.Entity+" "+strings.Join(e.Fields, ",")))
	}
	assert.Equal(t, []string{
		"create consumer", "create credential", "update credential disabled", "update credential disabled",
		"create credential", "rotate credential expires_at", "delete credential", "import credential",
	}, got)
	assert.NotContains(t, string(text), strings.TrimSpace(key))
	assert.NotContains(t, string(text), "12345678901234567890")

	status, out, notes := do("", "create -consumer alice", filepath.Join(dir, "nowhere", "audit.jsonl"))
	assert.Equal(t, 1, status)
	assert.Empty(t, out, "nothing is changed that cannot be recorded")
	assert.Contains(t, notes, "-audit-file: open")
}
