package send

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// offerMillion offers a million events as fast as it can to a queue whose collector is down, and prints the most memory that
// this process has had, in KB.
func offerMillion(dir string) {
	set := Settings{MaxEvents: 100000, MaxBytes: 64 << 20, BatchEvents: 200, FlushAfter: time.Second,
		SpoolDir: dir, SpoolMaxBytes: 128 << 20, SpoolMaxAge: 24 * time.Hour}
	q := newQueue(set, quietEnv(), func(Settings) sender { return &fakeDiscard{down: true} })
	events := 1000000
	if underRace() {
		events /= 20 // only that it runs
	}
	for range events {
		q.Add(make([]byte, 2048))
	}
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); f[0] == "VmHWM:" {
			fmt.Println(f[1])
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	q.Close(ctx)
}

// The collector is down and a million events come: the memory stays under queue_max_bytes and 64 MB, whether they wait on
// disk as well or not.
func TestMemoryOfAnOutage(t *testing.T) {
	for name, dir := range map[string]string{"spool": t.TempDir(), "memory only": ""} {
		t.Run(name, func(t *testing.T) {
			executable, err := os.Executable()
			require.NoError(t, err)
			c := exec.CommandContext(t.Context(), executable)
			c.Env = append(os.Environ(), "SEND_TEST_ROLE=million", "SEND_TEST_DIR="+dir)
			out, err := c.Output()
			require.NoError(t, err)
			var kb int
			_, err = fmt.Sscan(string(out), &kb)
			require.NoError(t, err)
			t.Logf("%d MB at the most", kb>>10)
			if !underRace() {
				assert.Less(t, kb>>10, 64+64)
			}
		})
	}
}

// underRace reports whether this binary has the race detector, which multiplies its memory.
func underRace() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
