package kongdevtest

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStartOf(t *testing.T) {
	child := exec.CommandContext(t.Context(), "sleep", "600")
	require.NoError(t, child.Start())
	defer func() { _, _ = child.Process.Kill(), child.Wait() }()
	mine := startOf(os.Getpid())
	assert.Positive(t, mine)
	assert.GreaterOrEqual(t, startOf(child.Process.Pid), mine)
	started := func() uint64 {
		later := exec.CommandContext(t.Context(), "sleep", "600")
		if later.Start() != nil {
			return 0
		}
		defer func() { _, _ = later.Process.Kill(), later.Wait() }()
		return startOf(later.Process.Pid)
	}
	require.Eventually(t, func() bool { return started() > startOf(child.Process.Pid) }, Patience, 20*time.Millisecond)
	assert.Zero(t, startOf(1<<30))
}
