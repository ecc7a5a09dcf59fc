package kongdevtest

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/stretchr/testify/require"
)

// Children are the process ids of a plugin server's children, oldest first: under this project's own server the workers.
func (g *Gateway) Children(plugin string) (pids []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", g.PluginPID(plugin)))
	for _, task := range tasks {
		data, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	began := map[int]uint64{}
	for _, pid := range pids {
		began[pid] = startOf(pid)
	}
	slices.SortFunc(pids, func(a, b int) int { return cmp.Or(cmp.Compare(began[a], began[b]), a-b) }) // ids begin again after 32768
	return pids
}

// startOf is when a process was started, in the kernel's ticks; 0 when it is gone.
func startOf(pid int) uint64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:])) // the name before may hold anything
	if len(fields) < 20 {
		return 0
	}
	start, _ := strconv.ParseUint(fields[19], 10, 64)
	return start
}

// KillWorker ends a plugin server's newest child at once and waits until there is another one.
func (g *Gateway) KillWorker(plugin string) {
	g.t.Helper()
	newest := func() int {
		if pids := g.Children(plugin); len(pids) > 0 {
			return pids[len(pids)-1]
		}
		return 0
	}
	var pid int
	require.Eventually(g.t, func() bool { pid = newest(); return pid != 0 }, Patience, 1e6, "plugin %s has no worker", plugin)
	require.NoError(g.t, syscall.Kill(pid, syscall.SIGKILL))
	require.Eventually(g.t, func() bool { p := newest(); return p != 0 && p != pid }, Patience, 1e6, "the worker of plugin %s does not come back", plugin)
}
