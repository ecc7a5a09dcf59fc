package moesif

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kong-go-plugins/moesif/send"
	"kong-go-plugins/moesif/spool"
)

// leftBehind makes a spool_dir with what an application could not send.
func leftBehind(t *testing.T, dir, endpoint, id string, events ...string) {
	t.Helper()
	q := send.NewQueue(send.Settings{Endpoint: endpoint, ApplicationID: id, MaxEvents: 100, MaxBytes: 1 << 20, SpoolDir: dir, SpoolMaxBytes: 1 << 20,
		BatchEvents: 50, FlushAfter: time.Hour}, send.Env{Metrics: send.NewMetrics(), Notice: func(string, string) {}})
	for _, e := range events {
		require.True(t, q.Add([]byte(e)))
	}
	require.Eventually(t, func() bool {
		n := 0
		_, err := spool.Each(spool.Folder(dir, endpoint, id), func([]byte, time.Time) error { n++; return nil })
		return err == nil && n == len(events)
	}, time.Minute, 5*time.Millisecond) // Close does not wait for a slow disk for long
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, q.Close(over))
	waitFree(t, spool.Folder(dir, endpoint, id))
}

// waitFree waits until nobody holds the folders of an application: where the disk is slow, a queue's end gives them back late.
func waitFree(t *testing.T, folder string) {
	t.Helper()
	require.Eventually(t, func() bool {
		locks, err := filepath.Glob(filepath.Join(folder, "process-*", "lock"))
		free := err == nil && len(locks) > 0
		for _, name := range locks {
			lock, err := os.Open(name)
			free = free && err == nil && unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
			_ = lock.Close()
		}
		return free
	}, time.Minute, 5*time.Millisecond)
}

func TestReplayCommand(t *testing.T) {
	url, got := serveBatches(t, created, nil)
	dir := t.TempDir()
	leftBehind(t, dir, url, "app-secret", `{"n":1}`, `{"n":2}`)
	leftBehind(t, dir, "http://127.0.0.1:1", "app-other", `{"n":3}`)
	idFile := filepath.Join(t.TempDir(), "id")
	require.NoError(t, os.WriteFile(idFile, []byte("app-secret\n"), 0o600))
	run := func(stdin string, args ...string) (status int, stdout, stderr string) {
		var out, errs bytes.Buffer
		status = Replay(args, strings.NewReader(stdin), &out, &errs)
		assert.NotContains(t, out.String()+errs.String(), "app-secret")
		return status, out.String(), errs.String()
	}

	status, out, errs := run("", "-dry-run", dir)
	assert.Zero(t, status)
	assert.ElementsMatch(t, []string{`{"n":1}`, `{"n":2}`, `{"n":3}`}, strings.Fields(out))
	assert.Equal(t, "3 events, none sent\n", errs)
	assert.Empty(t, got())

	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{}, "SPOOL_FOLDER is missing"},
		{"", []string{dir, "-dry-run"}, `argument "-dry-run": not expected`},
		{"", []string{"-wat", dir}, "flag provided but not defined"},
	} {
		status, _, errs := run(c.stdin, c.args...)
		assert.Equal(t, 2, status, c.args)
		assert.Contains(t, errs, c.want)
	}
	for _, c := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{dir}, "standard input: the application id: required"},
		{"a b", []string{dir}, "holds a blank"},
		{"", []string{"-application-id-file", "/nowhere/id", dir}, "no such file"},
		{"x", []string{"-endpoint", "http://u:app-secret@h", dir}, "-endpoint: must not hold a user name"},
		{"x", []string{"-collector-proxy", "app-secret", dir}, "-collector-proxy: "},
		{"x", []string{filepath.Join(dir, "absent")}, "no such file"},
		{"x", []string{"-endpoint", url, dir}, "name its folder"},
	} {
		status, _, errs := run(c.stdin, c.args...)
		assert.Equal(t, 1, status, c.args)
		assert.Contains(t, errs, c.want)
	}

	status, out, errs = run("", "-endpoint", url+"/", "-application-id-file", idFile, dir)
	assert.Zero(t, status, errs)
	assert.Equal(t, "2 events found, 2 sent, 0 refused, 0 left\n", out)
	require.Len(t, got(), 1)
	assert.Equal(t, "app-secret", got()[0].header.Get("X-Moesif-Application-Id"))

	entries, err := filepath.Glob(filepath.Join(dir, "*", "*"))
	require.NoError(t, err)
	require.Len(t, entries, 1, "the other application's")
	file := filepath.Join(t.TempDir(), "e")
	status, out, errs = run("", "-endpoint", "file://"+file, filepath.Dir(entries[0]))
	assert.Zero(t, status, errs)
	assert.Equal(t, "1 events found, 1 sent, 0 refused, 0 left\n", out)
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, "{\"n\":3}\n", string(data))
	status, out, _ = run("", "-help")
	assert.Zero(t, status)
	assert.Empty(t, out)
}
