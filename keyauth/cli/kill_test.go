package cli

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

// TestMain makes this test binary the command, too, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("KEYAUTH_TEST_KEYS") != "" {
		os.Exit(Run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func process(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "KEYAUTH_TEST_KEYS=1")
	return cmd
}

// Commands are killed at any moment. The keys file stays readable, a key that was shown is there, and an import that is
// repeated ends as one that was never interrupted.
func TestKills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, source := filepath.Join(dir, "keys.jsonl"), filepath.Join(dir, "kong.yml")
	const many = 3000
	var text strings.Builder
	text.WriteString("_format_version: \"3.0\"\nconsumers:\n- username: alice\n  keyauth_credentials:\n")
	for n := range many {
		fmt.Fprintf(&text, "  - key: a-key-of-many-characters-%d\n", n)
	}
	require.NoError(t, os.WriteFile(source, []byte(text.String()), 0o600))
	hasher, err := key.NewHasher("")
	require.NoError(t, err)

	var shown []string
	for round := range 24 {
		importing, creating := process("import", "-from", source, "-store", path), process("create", "-consumer", "alice", "-store", path)
		var out bytes.Buffer
		creating.Stdout = &out
		require.NoError(t, importing.Start())
		require.NoError(t, creating.Start())
		time.Sleep(time.Duration(round) * 15 * time.Millisecond) // whenever that is: any moment must do
		for _, cmd := range []*exec.Cmd{importing, creating} {
			_ = cmd.Process.Signal(syscall.SIGKILL)
			_ = cmd.Wait()
		}
		if line, err := out.ReadString('\n'); err == nil {
			shown = append(shown, strings.TrimSpace(line))
		}
		_, err := store.OpenJournalAdmin(path)
		require.NoError(t, err, "round %d", round)
	}
	shown = append(shown, output(t, process("create", "-consumer", "alice", "-store", path)))
	output(t, process("import", "-from", source, "-store", path))
	assert.Contains(t, output(t, process("import", "-from", source, "-store", path)), fmt.Sprintf("%d  there already", many))
	admin, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	for _, secret := range shown {
		_, err := admin.CredentialByDigest(t.Context(), hasher.Hash([]byte(secret)).Digest)
		require.NoError(t, err)
	}
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	cmd.Stderr = io.Discard
	out, err := cmd.Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// A key that could not be shown is not left behind.
func TestAKeyThatNobodyHasSeen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	var notes bytes.Buffer
	std := streams{strings.NewReader(""), closedPipe{}, &notes, time.Now, outlives}
	require.Equal(t, 1, run([]string{"create", "-consumer", "alice", "-store", path}, std))
	assert.Contains(t, notes.String(), "the key could not be shown and was removed again")
	std.out = io.Discard
	require.Equal(t, 0, run([]string{"create", "-consumer", "alice", "-store", path}, std))
	admin, err := store.OpenJournalAdmin(path)
	require.NoError(t, err)
	page, _, err := admin.Credentials(t.Context(), store.CredentialQuery{Size: 10})
	require.NoError(t, err)
	require.Len(t, page, 1)
	std.out = closedPipe{}
	require.Equal(t, 1, run([]string{"rotate", page[0].ID, "-store", path}, std))
	left, _, err := admin.Credentials(t.Context(), store.CredentialQuery{Size: 10})
	require.NoError(t, err)
	assert.Equal(t, page, left, "the old key is as it was")
}

type closedPipe struct{}

func (closedPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }
