package spool

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain makes this binary the processes of the tests as well.
func TestMain(m *testing.M) {
	switch os.Getenv("SPOOL_TEST_ROLE") {
	case "append":
		appendForever(os.Getenv("SPOOL_TEST_DIR"))
	case "drain":
		drain(os.Getenv("SPOOL_TEST_DIR"))
	default:
		os.Exit(m.Run())
	}
}

// rounds is how often a test with processes is repeated: a few times, or for SOAK's length.
func rounds(t *testing.T, few int) func() bool {
	t.Helper()
	text := os.Getenv("SOAK")
	if text == "" {
		return func() bool { few--; return few >= 0 }
	}
	length, err := time.ParseDuration(text)
	require.NoError(t, err, "SOAK is a duration such as 60s")
	end := time.Now().Add(length)
	return func() bool { return time.Now().Before(end) }
}

func silent() Options {
	return Options{MaxBytes: 1 << 40, Lost: func(reason string, n int) { fmt.Println("lost", reason, n) },
		Adopted: func(int) {}, Report: func(_, text string) { fmt.Println("said", text) }, Ready: func() {}}
}

// appendForever appends numbered events as fast as it can, and prints how many the system has.
func appendForever(dir string) {
	l := Open(dir, silent())
	out := bufio.NewWriterSize(os.Stdout, 1<<10)
	for i := 0; ; i++ {
		event := fmt.Sprintf("%d %d %s", os.Getpid(), i, strings.Repeat("x", i*37%3000))
		if _, _, refusal := l.Append([]byte(event), time.Now(), false); refusal != "" {
			i--
			time.Sleep(100 * time.Microsecond)
			continue
		}
		if i%16 == 0 {
			l.mu.Lock()
			written := int(l.own.end) - 1 - len(l.tail)
			l.mu.Unlock()
			fmt.Fprintf(out, "written %d.\n", written)
		}
	}
}

// drain reads and settles everything there is and prints it, until its input ends.
func drain(dir string) {
	l := Open(dir, silent())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	for {
		events := l.Read(50, 1<<20)
		var ids []ID
		for _, e := range events {
			fmt.Println("event", string(e.Data))
			ids = append(ids, e.ID)
		}
		l.Done(ids)
		select {
		case <-ended:
			left, _ := l.Close(context.Background())
			fmt.Println("left", left)
			return
		default:
		}
		if len(events) == 0 {
			time.Sleep(time.Millisecond)
		}
	}
}

func role(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	c := exec.CommandContext(t.Context(), executable)
	c.Env = append(os.Environ(), "SPOOL_TEST_ROLE="+name, "SPOOL_TEST_DIR="+dir)
	c.Stderr = os.Stderr
	return c
}

// killAfter starts an appender, kills it after the time and returns how many events it had written before.
func killAfter(t *testing.T, dir string, d time.Duration) (pid, written int) {
	t.Helper()
	c := role(t, "append", dir)
	out, err := c.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, c.Start())
	time.AfterFunc(d, func() { _ = c.Process.Kill() })
	for s := bufio.NewScanner(out); s.Scan(); {
		number, whole := strings.CutSuffix(s.Text(), ".")
		if number, ok := strings.CutPrefix(number, "written "); ok && whole { // the last line may be cut
			written, err = strconv.Atoi(number)
			assert.NoError(t, err)
		} else {
			assert.False(t, strings.HasPrefix(s.Text(), "lost"), s.Text())
		}
	}
	_ = c.Wait()
	return c.Process.Pid, written
}

// Killed at any moment: what was written before is there, whole, once and in order.
func TestKill(t *testing.T) {
	total := 0
	for more := rounds(t, 6); more(); {
		dir := t.TempDir()
		pid, written := killAfter(t, dir, time.Duration(100+rand.IntN(600))*time.Millisecond)
		l := openLog(t, dir, func(o *Options) { o.MaxBytes = 1 << 40 })
		<-l.opened
		next, torn := 0, 0
		for {
			events := l.Read(1000, 1<<20)
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				require.Equal(t, fmt.Sprintf("%d %d %s", pid, next, strings.Repeat("x", next*37%3000)), string(e.Data))
				next++
			}
		}
		for reason, n := range l.losses() {
			assert.Equal(t, Corrupt, reason)
			torn += n
		}
		assert.LessOrEqual(t, torn, 1, "the record that was being written")
		assert.GreaterOrEqual(t, next, written)
		total += next
		l.Close(t.Context())
		require.NoError(t, os.RemoveAll(dir))
	}
	t.Logf("%d events", total)
}

// Several processes want what several killed ones have left: each event goes to one of them, and to that one once.
func TestAdoptionRace(t *testing.T) {
	for more := rounds(t, 1); more(); {
		dir := t.TempDir()
		const killed, drains = 5, 4
		var mu sync.Mutex
		least := map[int]int{}
		var group sync.WaitGroup
		for range killed {
			group.Go(func() {
				pid, written := killAfter(t, dir, time.Duration(50+rand.IntN(100))*time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				least[pid] = written
			})
		}
		group.Wait()
		next := map[int]int{}
		var input []io.Closer
		for range drains {
			c := role(t, "drain", dir)
			stdin, err := c.StdinPipe()
			require.NoError(t, err)
			input = append(input, stdin)
			group.Go(func() {
				out, err := c.Output()
				assert.NoError(t, err)
				mu.Lock()
				defer mu.Unlock()
				lines := strings.Split(strings.TrimSpace(string(out)), "\n")
				assert.Equal(t, "left 0", lines[len(lines)-1])
				for _, line := range lines[:len(lines)-1] {
					var pid, i int
					if _, err := fmt.Sscanf(line, "event %d %d ", &pid, &i); err != nil {
						assert.True(t, strings.HasPrefix(line, "lost "+Corrupt+" 1"), line)
						continue
					}
					if !assert.Equal(t, next[pid], i, "in order, and once") {
						return
					}
					next[pid]++
				}
			})
		}
		assert.Eventually(t, func() bool { // what is settled leaves the disk
			segments, err := filepath.Glob(filepath.Join(dir, "*", "*.seg"))
			return err == nil && len(segments) == 0
		}, 2*time.Minute, 10*time.Millisecond)
		for _, stdin := range input {
			_ = stdin.Close()
		}
		group.Wait()
		for pid, written := range least {
			assert.GreaterOrEqual(t, next[pid], written)
		}
		// What one leaves that is killed while it makes its folder is cleared away after a minute.
		assert.Empty(t, mustGlob(t, filepath.Join(dir, folderPrefix+"*")))
	}
}

// A process that dies while it sends what it adopted: the next one goes on where the position was saved.
func TestKillWhileDraining(t *testing.T) {
	for more := rounds(t, 2); more(); {
		dir := t.TempDir()
		a := openLog(t, dir)
		want := a.add(t, "a ", 100000)
		a.crash(t)
		seen := map[string]bool{}
		last := 0
		for i := 1; len(seen) < len(want); i++ {
			require.Less(t, i, 1000)
			c := role(t, "drain", dir)
			stdin, err := c.StdinPipe() // held open: it does not end by itself
			require.NoError(t, err)
			out, err := c.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, c.Start())
			first := -1
			more := 1 + rand.IntN(10000*i)              // in the end as many as there are, whether a position was saved meanwhile or not
			for s := bufio.NewScanner(out); s.Scan(); { // what it has printed may be settled: none is left out
				name, ok := strings.CutPrefix(s.Text(), "event ")
				number, err := strconv.Atoi(strings.TrimPrefix(name, "a "))
				if !ok || err != nil {
					continue
				}
				if first < 0 {
					first = number
					assert.LessOrEqual(t, first, last+1)
				}
				last = number
				seen[name] = true
				if more--; more == 0 || len(seen) == len(want) {
					_ = c.Process.Kill()
				}
			}
			_ = c.Wait()
			_ = stdin.Close()
		}
		for _, name := range want {
			require.True(t, seen[name], name)
		}
	}
}

// Logs come and go, end well and badly, in any order and at the same time: every event is read whole by somebody, those of
// one log in order, and what is done does not come again once its position is saved.
func TestModel(t *testing.T) {
	for more, seed := rounds(t, 12), uint64(0); more(); seed++ {
		r := rand.New(rand.NewPCG(seed, 9))
		dir := t.TempDir()
		appended, done := map[string]bool{}, map[string]bool{}
		type live struct {
			*testLog
			name string
			next int
			open []Event
		}
		var logs []*live
		started := 0
		for range 400 {
			switch n := r.IntN(100); {
			case len(logs) == 0 || n < 3 && len(logs) < 4:
				l := &live{testLog: openLog(t, dir, func(o *Options) { o.MaxBytes = 4 << 20 }), name: fmt.Sprint("log", started)}
				<-l.opened
				started++
				logs = append(logs, l)
			case n < 50:
				l := logs[r.IntN(len(logs))]
				for range r.IntN(100) {
					event := fmt.Sprintf("%s %d %s", l.name, l.next, strings.Repeat("x", r.IntN(200)))
					l.next++
					id, held, refusal := l.Append([]byte(event), time.Now(), r.IntN(2) == 0)
					require.Empty(t, refusal)
					appended[event] = true
					if held {
						l.open = append(l.open, Event{Data: []byte(event), ID: id})
					}
				}
			case n < 70:
				l := logs[r.IntN(len(logs))]
				for _, e := range l.Read(1+r.IntN(200), 1+r.IntN(20000)) {
					require.True(t, appended[string(e.Data)], "%q", e.Data)
					l.open = append(l.open, e)
				}
			case n < 85:
				l := logs[r.IntN(len(logs))]
				if len(l.open) == 0 {
					break
				}
				from := r.IntN(len(l.open))
				to := from + 1 + r.IntN(len(l.open)-from)
				var ids []ID
				for _, e := range l.open[from:to] {
					ids = append(ids, e.ID)
					done[string(e.Data)] = true
				}
				l.Done(ids)
				l.open = slices.Delete(l.open, from, to)
			case n < 88:
				i := r.IntN(len(logs))
				logs[i].Close(t.Context())
				assert.Empty(t, logs[i].losses())
				logs = slices.Delete(logs, i, i+1)
			}
		}
		for _, l := range logs {
			l.Close(t.Context())
			assert.Empty(t, l.losses())
		}
		rest := map[string]bool{}
		last := openLog(t, dir)
		for _, name := range last.all(t, true) {
			require.False(t, rest[name], "twice: %s", name)
			rest[name] = true
		}
		last.Close(t.Context())
		for event := range appended {
			require.True(t, done[event] || rest[event], "lost: %s", event)
		}
		assert.Empty(t, files(t, dir))
		require.NoError(t, os.RemoveAll(filepath.Clean(dir)))
	}
}
