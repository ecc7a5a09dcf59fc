package store

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var silent = slog.New(slog.DiscardHandler) // read-only

// lastUses reads the file of a keys file anew.
func lastUses(t testing.TB, keysFile string, ids ...string) (times []int64) {
	t.Helper()
	uses := OpenLastUses(keysFile)
	for _, id := range ids {
		at, err := uses.Of(id)
		require.NoError(t, err)
		times = append(times, at)
	}
	return times
}

func TestLastUsedIsWrittenOnceAMinute(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "keyauth")
	keys := filepath.Join(folder, "keys.jsonl")
	synctest.Test(t, func(t *testing.T) {
		l := OpenLastUsed(LastUsedPath(keys), silent)
		now := time.Now().Unix()
		l.Note("a", now)
		l.Note("a", now+7)
		l.Note("a", now+3) // by a request that took longer
		time.Sleep(writeEvery - time.Second)
		synctest.Wait()
		assert.NoDirExists(t, folder, "nothing is made before there is something to write")
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []int64{now + 7, 0}, lastUses(t, keys, "a", "b"))
		info, err := os.Stat(LastUsedPath(keys))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())

		time.Sleep(10 * writeEvery)
		synctest.Wait()
		again, err := os.Stat(LastUsedPath(keys))
		require.NoError(t, err)
		assert.True(t, os.SameFile(info, again), "nothing new, nothing written")

		l.Note("b", now+700)
		l.Close()
		assert.Equal(t, []int64{now + 7, now + 700}, lastUses(t, keys, "a", "b"))
		names, err := filepath.Glob(folder + "/*")
		require.NoError(t, err)
		assert.Equal(t, []string{LastUsedPath(keys), LastUsedPath(keys) + ".lock", LastUsedPath(keys) + ".lock.next"}, names)
	})
}

// During a reload, and on a folder that nodes share, several processes write the same file.
func TestLastUsedOfSeveralProcesses(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys.jsonl")
	now := time.Now()
	const writers, rounds = 6, 3
	ago := func(writer, round int) int64 { return int64((writer*7 + round*3) % 17) }
	var wg sync.WaitGroup
	for writer := range writers {
		wg.Go(func() {
			for round := range rounds {
				shared, own := now.Unix()-ago(writer, round), now.Unix()-int64(round)
				noted := map[string]*int64{"shared": &shared, fmt.Sprint("own ", writer): &own}
				assert.Eventually(t, func() bool { // on a slow disk the lock may be held for longer than anybody waits for it
					return mergeLastUsed(t.Context(), LastUsedPath(keys), noted, now) == nil
				}, time.Minute, time.Millisecond)
			}
		})
	}
	wg.Wait()
	latest := int64(math.MaxInt64)
	for writer := range writers {
		assert.Equal(t, []int64{now.Unix()}, lastUses(t, keys, fmt.Sprint("own ", writer)))
		for round := range rounds {
			latest = min(latest, ago(writer, round))
		}
	}
	assert.Equal(t, []int64{now.Unix() - latest}, lastUses(t, keys, "shared"))
}

func TestLastUsedThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "missing")
	keys := filepath.Join(folder, "keyauth", "keys.jsonl")
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		l := OpenLastUsed(LastUsedPath(keys), slog.New(slog.NewTextHandler(&text, nil)))
		now := time.Now().Unix()
		l.Note("a", now)
		time.Sleep(writeEvery)
		l.Note("b", now+60)
		time.Sleep(3 * writeEvery)
		synctest.Wait()
		assert.Equal(t, 1, strings.Count(text.String(), "\n"), text.String())
		assert.Contains(t, text.String(), "Let Kong's user write to the folder")
		assert.Contains(t, text.String(), folder)

		require.NoError(t, os.Mkdir(folder, 0o700))
		time.Sleep(writeEvery)
		synctest.Wait()
		assert.Equal(t, []int64{now, now + 60}, lastUses(t, keys, "a", "b"), "what was noted meanwhile is not lost")

		require.NoError(t, os.RemoveAll(folder))
		l.Note("c", now)
		l.Close()
		assert.Equal(t, 2, strings.Count(text.String(), "\n"), "it had worked in between")
	})
}

func TestLastUsesOfADamagedFile(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys.jsonl")
	now := time.Now().Unix()
	line := func(id string, at int64) string { return fmt.Sprintf(`{"id":%q,"last_used_at":%d}`, id, at) }
	text := strings.Join([]string{
		line("twice", now-20), line("good", now-10), line("twice", now-30), "", "not JSON", line("", now), line("zero", 0), line("much", math.MaxInt64),
		`{"id":"more","last_used_at":` + fmt.Sprint(now-5) + `,"of":"a later version"}`, `{"id":1,"last_used_at":1}`,
		line("old", now-366*24*3600), line("ahead", now+2*24*3600), line("cut", now-1)[:20],
	}, "\r\n")
	require.NoError(t, os.WriteFile(LastUsedPath(keys), []byte(text), 0o600))
	ids := []string{"twice", "good", "more", "new", "zero", "much", "cut", ""}
	assert.Equal(t, []int64{now - 20, now - 10, now - 5, 0, 0, 0, 0, 0}, lastUses(t, keys, ids...))

	l := OpenLastUsed(LastUsedPath(keys), silent)
	l.Note("good", now-15) // the file knows better
	l.Note("new", now)
	l.Close()
	assert.Equal(t, []int64{now - 20, now - 10, now - 5, now, 0, 0, 0, 0}, lastUses(t, keys, ids...))
	assert.Equal(t, []int64{0, 0}, lastUses(t, keys, "old", "ahead"))
}

func TestLastUsesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		make func(path string) error
		want string
	}{
		"a folder":        {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
		"an endless line": {func(path string) error { return os.WriteFile(path, make([]byte, 2*maxUseLine), 0o600) }, "remove the file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := filepath.Join(t.TempDir(), "keys.jsonl")
			require.NoError(t, c.make(LastUsedPath(keys)))
			uses := OpenLastUses(keys)
			_, err := uses.Of("a")
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, LastUsedPath(keys))
			at, err := uses.Of("a")
			require.NoError(t, err, "an error is told once")
			assert.Zero(t, at)

			require.NoError(t, os.RemoveAll(LastUsedPath(keys)))
			l := OpenLastUsed(LastUsedPath(keys), silent)
			l.Note("a", time.Now().Unix())
			l.Close()
			at, err = uses.Of("a")
			require.NoError(t, err)
			assert.NotZero(t, at, "it is read again when it is another one")
		})
	}
}

func TestNotingAgainAllocatesNothing(t *testing.T) {
	l := OpenLastUsed(filepath.Join(t.TempDir(), "last-used"), silent)
	defer l.Close()
	l.Note("a", 1)
	now := int64(1)
	assert.Zero(t, testing.AllocsPerRun(100, func() { now++; l.Note("a", now) }))
}

// Whatever stands in the file: what can be read of it stays true when something is added, and all lines can be read then.
func FuzzMergeUses(f *testing.F) {
	f.Add([]byte(`{"id":"a","last_used_at":1000000000}`+"\n"+`{"id":"b","last_used_at":999999999}`), "a", int64(1_000_000_007))
	f.Add([]byte("{\"id\":\"a\\u0000\\n\",\"last_used_at\":1000000000}\r\n\r\n{}\n{\"id\":"), "\"\n", int64(1))
	now := time.Unix(1_000_000_000, 0)
	oldest, latest := now.Add(-keepUses).Unix(), now.Add(wrongClock).Unix()
	f.Fuzz(func(t *testing.T, old []byte, id string, at int64) {
		want := map[string]int64{}
		put := func(uses map[string]int64) func(use, []byte) error {
			return func(u use, _ []byte) error {
				uses[u.ID] = max(uses[u.ID], u.LastUsedAt)
				return nil
			}
		}
		require.NoError(t, eachUse(bytes.NewReader(old), func(u use, text []byte) error {
			if u.LastUsedAt < oldest || u.LastUsedAt > latest {
				return nil
			}
			return put(want)(u, text)
		}))
		if id = strings.ToValidUTF8(id, ""); id == "" {
			id = "-"
		}
		at = min(max(at, 1), maxTime)
		want[id] = max(want[id], at)

		var merged bytes.Buffer
		w := bufio.NewWriter(&merged)
		require.NoError(t, mergeUses(w, bytes.NewReader(old), map[string]*int64{id: &at}, now))
		require.NoError(t, w.Flush())
		all, read, got := bytes.Count(merged.Bytes(), []byte{'\n'}), 0, map[string]int64{}
		require.NoError(t, eachUse(&merged, func(u use, text []byte) error {
			read++
			return put(got)(u, text)
		}))
		assert.Equal(t, want, got)
		assert.Equal(t, all, read)
	})
}

// BenchmarkLastUsedNote is what a request costs.
func BenchmarkLastUsedNote(b *testing.B) {
	for _, keys := range []int{1, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			l := OpenLastUsed(filepath.Join(b.TempDir(), "last-used"), silent)
			defer l.Close()
			ids := make([]string, keys)
			for i := range ids {
				ids[i] = fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
				l.Note(ids[i], 1)
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					l.Note(ids[i%keys], int64(i))
				}
			})
		})
	}
}

// BenchmarkMergeLastUsed is what a minute costs in which all keys of a million were used.
func BenchmarkMergeLastUsed(b *testing.B) {
	path, now := filepath.Join(b.TempDir(), "last-used"), time.Now()
	noted := map[string]*int64{}
	for i := range 1_000_000 {
		at := now.Unix()
		noted[fmt.Sprintf("00000000-0000-4000-8000-%012d", i)] = &at
	}
	require.NoError(b, mergeLastUsed(b.Context(), path, noted, now))
	for b.Loop() {
		require.NoError(b, mergeLastUsed(b.Context(), path, noted, now))
	}
}
