package send

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"kong-go-plugins/moesif/spool"
)

// leftBehind fills a spool whose process ends without sending, and returns the application's folder.
func leftBehind(t *testing.T, events int) (folder string) {
	t.Helper()
	dir := t.TempDir()
	set := quickUpload()
	set.Endpoint, set.ApplicationID, set.SpoolDir, set.SpoolMaxBytes = "http://127.0.0.1:1", "a", dir, 1<<20
	q := NewQueue(set, quietEnv())
	for _, e := range testEvents(events) {
		require.True(t, q.Add(e))
	}
	folder = spool.Folder(dir, set.Endpoint, set.ApplicationID)
	onDisk := func() bool { n, err := countSpool(folder); return err == nil && n == events }
	require.Eventually(t, onDisk, time.Minute, 5*time.Millisecond) // Close does not wait for a slow disk for long
	over, cancel := context.WithCancel(t.Context())
	cancel()
	require.Zero(t, q.Close(over), "nothing is lost")
	waitFree(t, folder)
	return folder
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

func replaySettings(url, folder string) Settings {
	set := quickUpload()
	set.Endpoint, set.ApplicationID, set.SpoolFolder, set.SpoolMaxBytes = url, "another", folder, 1<<40
	return set
}

func TestReplay(t *testing.T) {
	folder := leftBehind(t, 500)
	url, got := serveBatches(t, created)
	r, err := Replay(t.Context(), replaySettings(url, folder), quietEnv(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Replayed{Found: 500, Sent: 500}, r)
	seen := map[string]int{}
	for _, b := range got() {
		assert.Equal(t, "another", b.header.Get("X-Moesif-Application-Id"))
		for _, e := range b.events {
			seen[string(e)]++
		}
	}
	assert.Len(t, seen, 500)
	r, err = Replay(t.Context(), replaySettings(url, folder), quietEnv(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Replayed{}, r)
}

// What cannot be sent stays, for the next attempt.
func TestReplayLeavesTheRest(t *testing.T) {
	folder := leftBehind(t, 60)
	for status, patience := range map[int]time.Duration{401: time.Minute, 503: 100 * time.Millisecond} {
		url, _ := serveBatches(t, func(receivedBatch) int { return status })
		r, err := Replay(t.Context(), replaySettings(url, folder), quietEnv(), patience)
		require.NoError(t, err)
		assert.Equal(t, Replayed{Found: 60, Left: 60}, r, "%d", status)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Replay(stopped, replaySettings("http://127.0.0.1:1", folder), quietEnv(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Replayed{Found: 60, Left: 60}, r)

	url, _ := serveBatches(t, func(b receivedBatch) int {
		for _, e := range b.events {
			var n struct{ N int }
			if json.Unmarshal(e, &n) == nil && n.N == 7 {
				return http.StatusBadRequest
			}
		}
		return http.StatusCreated
	})
	r, err = Replay(t.Context(), replaySettings(url, folder), quietEnv(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Replayed{Found: 60, Sent: 59, Dropped: 1}, r)
}

// A process that runs sends its events itself.
func TestReplayBesideARunningProcess(t *testing.T) {
	dir := t.TempDir()
	set := quickUpload()
	set.Endpoint, set.ApplicationID, set.SpoolFolder, set.SpoolMaxBytes = "http://127.0.0.1:1", "a", dir, 1<<20
	q := NewQueue(set, quietEnv())
	q.Add([]byte("{}"))
	url, got := serveBatches(t, created)
	require.Eventually(t, func() bool { n, err := countSpool(dir); return err == nil && n == 1 }, time.Minute, 5*time.Millisecond)
	r, err := Replay(t.Context(), replaySettings(url, dir), quietEnv(), time.Minute)
	require.NoError(t, err)
	assert.Equal(t, Replayed{Found: 1, Left: 1}, r)
	assert.Empty(t, got())
	over, cancel := context.WithCancel(t.Context())
	cancel()
	q.Close(over)

	_, err = Replay(t.Context(), replaySettings(url, filepath.Join(dir, "absent")), quietEnv(), time.Minute)
	assert.ErrorContains(t, err, "no such file")
}
