package send

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/spool"
)

// A flaky collector takes everything while up.
func flaky() (c *fakeCollector, up *atomic.Bool) {
	up = new(atomic.Bool)
	return &fakeCollector{answer: func(context.Context, []string) outcome {
		if up.Load() {
			return outcome{class: sent, status: 201}
		}
		return outcome{class: retry, status: 503}
	}}, up
}

// inSpool lets a queue keep its events in dir as well.
func inSpool(dir string, change ...func(*Settings)) func(*Settings) {
	return func(s *Settings) {
		s.SpoolDir, s.SpoolMaxBytes, s.DropNewest = dir, 64<<20, false
		for _, f := range change {
			f(s)
		}
	}
}

// onDisk returns the events in a spool.
func onDisk(t *testing.T, dir string) (events []string) {
	t.Helper()
	lost, err := spool.Each(dir, func(event []byte, _ time.Time) error {
		events = append(events, string(event))
		return nil
	})
	require.NoError(t, err)
	assert.Zero(t, lost)
	return events
}

func (q *testQueue) addNamed(prefix string, n int) (names []string) {
	for i := range n {
		name := fmt.Sprintf("%s%d", prefix, i)
		q.Add([]byte(name))
		names = append(names, name)
	}
	return names
}

// leaves ends a queue, which must lose nothing.
func (q *testQueue) leaves(t *testing.T, timeout time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	assert.Zero(t, q.Close(ctx))
}

func TestDropOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, up := flaky()
		q := startQueue(c, func(s *Settings) { s.MaxEvents, s.DropNewest = 30, false })
		first := q.add(10)
		synctest.Wait() // they are on their way
		want := q.addNamed("a", 100)
		events, _ := q.Size()
		assert.Equal(t, 30, events)
		assert.Equal(t, 80.0, droppedBy(t, q.env.Metrics, dropQueueFull))
		up.Store(true)
		time.Sleep(2 * time.Minute)
		assert.ElementsMatch(t, append(first, want[80:]...), c.got(), "what is on its way stays, the oldest of the others went")
		q.leaves(t, time.Second)
	})
}

func TestTheSpoolIsEmptyWhenAllIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := &fakeCollector{}
		q := startQueue(c, inSpool(dir))
		want := q.add(95)
		time.Sleep(2 * time.Second)
		assert.ElementsMatch(t, want, c.got())
		events, _ := q.SpoolSize()
		assert.Zero(t, events)
		q.leaves(t, time.Second)
		entries, err := os.ReadDir(spool.Folder(dir, "", ""))
		require.NoError(t, err)
		assert.Empty(t, entries)
		assert.Empty(t, q.said())
	})
}

// What does not fit into memory waits on disk, and the order stays.
func TestMemoryIsAWindow(t *testing.T) {
	for _, limit := range []func(*Settings){
		func(s *Settings) { s.MaxEvents = 25 },
		func(s *Settings) { s.MaxBytes = 25 * (eventOverhead + 8) },
		func(s *Settings) { s.MaxEvents = 1 },
	} {
		synctest.Test(t, func(t *testing.T) {
			c, up := flaky()
			q := startQueue(c, inSpool(t.TempDir(), limit))
			want := q.add(5000)
			time.Sleep(time.Minute)
			inMemory, _ := q.Size()
			assert.Equal(t, 5000, inMemory)
			q.mu.Lock()
			assert.LessOrEqual(t, q.count, 60)
			q.mu.Unlock()
			up.Store(true)
			time.Sleep(2 * time.Minute)
			assert.Len(t, c.got(), 5000)
			assert.ElementsMatch(t, want, c.got())
			assert.Zero(t, droppedAll(t, q))
			q.leaves(t, time.Second)
		})
	}
}

func droppedAll(t *testing.T, q *testQueue) float64 {
	t.Helper()
	return counterValue(t, q.env.Metrics.dropped)
}

// The process ends while the collector is down; the next one sends what it left, before its own.
func TestTheNextProcessSendsTheRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, up := flaky()
		q := startQueue(c, inSpool(dir, func(s *Settings) { s.MaxEvents = 40 }))
		want := q.add(100)
		time.Sleep(time.Second)
		q.leaves(t, 5*time.Second)
		assert.Zero(t, droppedAll(t, q))
		assert.Equal(t, want, onDisk(t, dir))
		up.Store(true)
		next := startQueue(c, inSpool(dir))
		want = append(want, next.addNamed("b", 20)...)
		time.Sleep(5 * time.Second)
		assert.ElementsMatch(t, want, c.got())
		assert.Equal(t, 100.0, counterValue(t, next.env.Metrics.adopted))
		next.leaves(t, time.Second)
		assert.Empty(t, onDisk(t, dir))
	})
}

// The clock was set back: an event of the process before seems to come from the future, and is not waited for.
func TestTheClockIsSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		log := spool.Open(spool.Folder(dir, "", ""), spool.Options{MaxBytes: 1 << 20, Lost: func(string, int) {}, Adopted: func(int) {}, Report: func(_, text string) { t.Error(text) }, Ready: func() {}})
		_, _, refusal := log.Append([]byte("late"), time.Now().Add(time.Hour), false)
		require.Empty(t, refusal)
		log.Close(t.Context())
		c, up := flaky()
		up.Store(true)
		q := startQueue(c, inSpool(dir))
		time.Sleep(5 * time.Second)
		assert.Equal(t, []string{"late"}, c.got())
		q.leaves(t, time.Second)
	})
}

// Two queues of one application overlap, as during a reload: each event is sent once, by one of them.
func TestTwoQueuesOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c, up := flaky()
		a, b := startQueue(c, inSpool(dir)), startQueue(c, inSpool(dir))
		want := append(a.addNamed("a", 50), b.addNamed("b", 50)...)
		time.Sleep(time.Second)
		a.leaves(t, time.Second)
		up.Store(true)
		time.Sleep(2 * time.Minute)
		assert.ElementsMatch(t, want, c.got())
		b.leaves(t, time.Second)
	})
}

func TestAnUnwritableSpoolIsMemoryOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(file, nil, 0o600))
		c := &fakeCollector{}
		q := startQueue(c, inSpool(filepath.Join(file, "spool")))
		want := q.add(25)
		time.Sleep(2 * time.Second)
		assert.ElementsMatch(t, want, c.got(), "traffic passes")
		assert.Contains(t, q.said(), "cannot be used, events wait in memory only: not a directory: see that the folder exists")
		assert.Contains(t, q.said(), file)
		q.leaves(t, time.Second)
	})
}

// When both memory and disk are full: the oldest on disk go with their segment, or the new one goes.
func TestMemoryAndSpoolAreFull(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, up := flaky()
			q := startQueue(c, inSpool(t.TempDir(), func(s *Settings) { s.SpoolMaxBytes, s.MaxEvents, s.DropNewest = 1<<20, 100, newest }))
			time.Sleep(time.Millisecond) // opened
			synctest.Wait()
			event := make([]byte, 1000)
			var names []string
			taken := 0
			for i := range 5000 {
				name := fmt.Sprintf("%5d", i)
				copy(event, name)
				names = append(names, name)
				if q.Add(slices.Clone(event)) {
					taken++
				}
				if i%100 == 99 {
					time.Sleep(10 * time.Millisecond)
				}
			}
			_, bytes := q.SpoolSize()
			assert.LessOrEqual(t, bytes, int64(1<<20))
			assert.Greater(t, bytes, int64(1<<20)*8/10)
			up.Store(true)
			time.Sleep(3 * time.Minute)
			got := c.got()
			dropped := int(droppedBy(t, q.env.Metrics, spool.Full))
			assert.Equal(t, 5000, len(got)+dropped, "counted exactly")
			assert.Greater(t, len(got), 900)
			slices.Sort(got)
			if newest {
				assert.Equal(t, taken, len(got))
				assert.Equal(t, names[:100], short(got[:100]))
			} else {
				assert.Equal(t, 5000, taken)
				assert.Equal(t, names[4300:], short(got[len(got)-700:]))
			}
			q.leaves(t, time.Second)
		})
	}
}

func short(events []string) (names []string) {
	for _, e := range events {
		names = append(names, e[:5])
	}
	return names
}

func TestEventsTooOldForTheSpool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, up := flaky()
		q := startQueue(c, inSpool(t.TempDir(), func(s *Settings) { s.SpoolMaxAge, s.MaxEvents = time.Hour, 10 }))
		q.addNamed("old", 100)
		time.Sleep(2 * time.Hour)
		want := q.addNamed("new", 10)
		up.Store(true)
		time.Sleep(3 * time.Minute)
		got := c.got()
		assert.ElementsMatch(t, want, slices.DeleteFunc(slices.Clone(got), func(e string) bool { return e < "new" || e > "new9" }))
		assert.Equal(t, 110, len(got)+int(droppedBy(t, q.env.Metrics, spool.Aged)))
		assert.LessOrEqual(t, len(got), 20)
		q.leaves(t, time.Second)
	})
}

// Whatever happens and in whatever order: every event is sent, or counted, or waits on disk; none twice, none half.
func TestStorageAccount(t *testing.T) {
	for seed := range uint64(30) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			dir := t.TempDir()
			c, up := flaky()
			var added []string
			dropped := 0.0
			for process := range 4 {
				q := startQueue(c, inSpool(dir, func(s *Settings) { s.MaxEvents = 1 + r.IntN(60) }))
				for i := range 200 + r.IntN(300) {
					name := fmt.Sprintf("%d.%d.%d", seed, process, i)
					assert.True(t, q.Add([]byte(name)))
					added = append(added, name)
					if r.IntN(40) == 0 {
						up.Store(r.IntN(2) == 0)
						time.Sleep(time.Duration(r.IntN(3000)) * time.Millisecond)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(r.IntN(2000))*time.Millisecond)
				q.Close(ctx)
				cancel()
				dropped += droppedAll(t, q)
			}
			assert.Zero(t, dropped)
			got := append(c.got(), onDisk(t, dir)...)
			slices.Sort(got)
			got = slices.Compact(got) // out of order at the end: what is behind the position repeats
			slices.Sort(added)
			assert.Equal(t, added, got)
		})
	}
}
