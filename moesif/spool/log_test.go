package spool

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A testLog is a log with what it has said.
type testLog struct {
	*Log
	mu      sync.Mutex
	lost    map[string]int
	adopted int
	said    []string
}

func openLog(t *testing.T, dir string, change ...func(*Options)) *testLog {
	t.Helper()
	l := &testLog{lost: map[string]int{}}
	o := Options{
		MaxBytes: 64 << 20,
		Lost: func(reason string, events int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.lost[reason] += events
		},
		Adopted: func(events int) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.adopted += events
		},
		Report: func(_, text string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.said = append(l.said, text)
		},
		Ready: func() {},
	}
	for _, f := range change {
		f(&o)
	}
	l.Log = Open(dir, o)
	t.Cleanup(func() { l.Close(context.Background()) })
	return l
}

// add appends n events named by prefix and number, none of them held, and returns their names.
func (l *testLog) add(t *testing.T, prefix string, n int) (names []string) {
	t.Helper()
	for i := range n {
		name := fmt.Sprintf("%s%d", prefix, i)
		_, held, refusal := l.Append([]byte(name), time.Now(), false)
		require.Empty(t, refusal)
		require.False(t, held)
		names = append(names, name)
	}
	return names
}

// written waits until everything is on disk.
func (l *testLog) written(t *testing.T) {
	t.Helper()
	l.until(t, func() bool { return len(l.tail) == 0 })
}

// until waits for a condition on the log.
func (l *testLog) until(t *testing.T, f func() bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		l.Log.mu.Lock()
		defer l.Log.mu.Unlock()
		return f()
	}, time.Minute, time.Millisecond)
}

// all reads what there is, and says that it is done when done is set.
func (l *testLog) all(t *testing.T, done bool) (names []string) {
	t.Helper()
	<-l.opened
	for {
		events := l.Read(1<<30, 1<<30)
		if len(events) == 0 {
			require.Zero(t, l.Unread())
			return names
		}
		var ids []ID
		for _, e := range events {
			names = append(names, string(e.Data))
			ids = append(ids, e.ID)
		}
		if done {
			l.Done(ids)
		}
	}
}

func (l *testLog) losses() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.lost)
}

func (l *testLog) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said, "\n")
}

// crash ends a log as the end of its process would: nothing more is written, and the locks are free.
func (l *testLog) crash(t *testing.T) {
	t.Helper()
	l.written(t)
	l.Close(context.Background())
}

// files lists the files below dir.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, filepath.Base(path))
		}
		return err
	}))
	return names
}

func TestWhatIsAppendedIsRead(t *testing.T) {
	l := openLog(t, t.TempDir())
	want := l.add(t, "a", 1000)
	assert.Equal(t, want, l.all(t, false))
	want = l.add(t, "b", 1000)
	l.written(t)
	assert.Equal(t, want, l.all(t, false), "from disk")
	events, bytes := l.Size()
	assert.Equal(t, 2000, events)
	assert.Greater(t, bytes, int64(2000*headerSize))
}

func TestHeldEventsAreNotRead(t *testing.T) {
	l := openLog(t, t.TempDir())
	<-l.opened
	for range 10 {
		_, held, _ := l.Append([]byte("held"), time.Now(), true)
		require.True(t, held)
	}
	l.add(t, "a", 10)
	_, held, _ := l.Append([]byte("a10"), time.Now(), true)
	assert.False(t, held, "older ones are not read yet")
	assert.Equal(t, 11, l.Unread())
	l.written(t)
	got := l.all(t, false)
	assert.Len(t, got, 11)
	assert.Equal(t, "a0", got[0])
	_, held, _ = l.Append([]byte("held"), time.Now(), true)
	assert.True(t, held)
}

func TestTheNextLogAdopts(t *testing.T) {
	dir := t.TempDir()
	a := openLog(t, dir)
	want := a.add(t, "a", 1000)
	a.crash(t)
	b := openLog(t, dir)
	want = append(want, b.add(t, "b", 10)...)
	assert.Equal(t, want, b.all(t, true), "the older ones first")
	assert.Equal(t, 1000, b.adopted)
	left, _ := b.Close(context.Background())
	assert.Zero(t, left)
	assert.Empty(t, files(t, dir), "nothing is left, nothing lies around")
}

func TestWhatIsDoneDoesNotComeAgain(t *testing.T) {
	dir := t.TempDir()
	a := openLog(t, dir)
	a.add(t, "a", 100)
	<-a.opened
	a.written(t)
	events := a.Read(1<<30, 1<<30)
	require.Len(t, events, 100)
	var ids []ID
	for i, e := range events {
		if i < 40 || i >= 60 && i < 80 {
			ids = append(ids, e.ID)
		}
	}
	a.Done(ids)
	n, _ := a.Size()
	assert.Equal(t, 40, n)
	left, held := a.Close(context.Background())
	assert.Equal(t, 40, left)
	assert.Equal(t, 40, held)
	b := openLog(t, dir)
	got := b.all(t, true)
	assert.Len(t, got, 60, "from the first that is not done; the rest may repeat")
	assert.Equal(t, "a40", got[0])
}

func TestTwoProcessesOverlap(t *testing.T) {
	dir := t.TempDir()
	a, b := openLog(t, dir), openLog(t, dir)
	<-a.opened
	<-b.opened
	wantA := a.add(t, "a", 10)
	wantB := b.add(t, "b", 10)
	assert.Equal(t, wantB, b.all(t, true), "a is alive: its events are its own")
	a.crash(t)
	require.Eventually(t, func() bool { return b.Unread() == 10 }, time.Minute, 10*time.Millisecond)
	assert.Equal(t, wantA, b.all(t, true), "the survivor sends the rest")
}
