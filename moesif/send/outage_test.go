package send

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/moesif/spool"
)

// gateway is a process that puts events into a queue, far faster than they can be made of requests, and writes down what it
// has put there. It ends well when its input does.
func gateway(dir string) {
	count, _ := strconv.Atoi(os.Getenv("SEND_TEST_COUNT"))
	name := os.Getenv("SEND_TEST_NAME")
	metrics := NewMetrics()
	q := NewQueue(Settings{
		Endpoint: os.Getenv("SEND_TEST_URL"), ApplicationID: "application", MaxEvents: 100000, MaxBytes: 64 << 20,
		SpoolDir: dir, SpoolMaxBytes: 512 << 20, SpoolMaxAge: 24 * time.Hour, BatchEvents: 200, FlushAfter: 100 * time.Millisecond,
		ConnectTimeout: time.Second, SendTimeout: 5 * time.Second, Keepalive: 5 * time.Second, Compress: true,
	}, Env{Metrics: metrics, Notice: func(cause, text string) { fmt.Fprintln(os.Stderr, cause, text) }})
	out := bufio.NewWriterSize(os.Stdout, 1<<10)
	filler := strings.Repeat("x", 300)
	for i := range count {
		q.Add(fmt.Appendf(nil, `{"transaction_id":"%s-%d","request":{"uri":"/%s"}}`, name, i, filler))
		if i%50 == 49 {
			fmt.Fprintf(out, "took %d.\n", i)
			time.Sleep(500 * time.Microsecond)
		}
	}
	_ = out.Flush()
	_, _ = io.Copy(io.Discard, os.Stdin)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("lost", q.Close(ctx))
}

// An outageCollector takes events unless it is down, and now and then loses its answer.
type outageCollector struct {
	*httptest.Server
	up atomic.Bool

	mu   sync.Mutex
	seen map[string]string // events by transaction id
	more int               // events that came again, all of them equal to the first
	bad  []string
}

func newOutageCollector(t *testing.T) *outageCollector {
	c := &outageCollector{seen: map[string]string{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil || !c.up.Load() { // its sender was killed, or it is down
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var events []json.RawMessage
		body, err := gzip.NewReader(bytes.NewReader(raw))
		if err == nil {
			err = json.NewDecoder(body).Decode(&events)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err != nil {
			c.bad = append(c.bad, err.Error())
		}
		for _, e := range events {
			var event struct {
				ID string `json:"transaction_id"`
			}
			if err := json.Unmarshal(e, &event); err != nil {
				c.bad = append(c.bad, string(e))
			}
			switch before, again := c.seen[event.ID]; {
			case !again:
				c.seen[event.ID] = string(e)
			case before == string(e):
				c.more++
			default:
				c.bad = append(c.bad, "another event with the id "+event.ID)
			}
		}
		if rand.IntN(50) == 0 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	t.Cleanup(c.Server.Close)
	return c
}

// A gatewayProcess is one that may be killed.
type gatewayProcess struct {
	*exec.Cmd
	stdin io.Closer
	ended sync.WaitGroup
	name  string
	count int

	mu   sync.Mutex
	took int // events
	sure int // those that must arrive
	lost string
}

func startGateway(t *testing.T, dir, url, name string, count int) *gatewayProcess {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	p := &gatewayProcess{Cmd: exec.CommandContext(t.Context(), executable), name: name, count: count}
	p.Env = append(os.Environ(), "SEND_TEST_ROLE=gateway", "SEND_TEST_DIR="+dir, "SEND_TEST_URL="+url, "SEND_TEST_NAME="+name,
		"SEND_TEST_COUNT="+strconv.Itoa(count))
	p.stdin, err = p.StdinPipe()
	require.NoError(t, err)
	out, err := p.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.Start())
	p.ended.Go(func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			p.mu.Lock()
			number, whole := strings.CutSuffix(s.Text(), ".") // the last line may be cut
			if number, ok := strings.CutPrefix(number, "took "); ok && whole {
				i, _ := strconv.Atoi(number)
				p.took = i + 1
			} else if lost, ok := strings.CutPrefix(s.Text(), "lost "); ok {
				p.lost = lost
			}
			p.mu.Unlock()
		}
		_ = p.Wait()
	})
	return p
}

// kill waits until what the process has queued by now is on disk or delivered, while it goes on, and then kills it.
func (p *gatewayProcess) kill(t *testing.T, dir string, c *outageCollector) {
	t.Helper()
	p.mu.Lock()
	p.sure = p.took
	p.mu.Unlock()
	require.Eventually(t, func() bool {
		safe := map[string]bool{}
		_, err := spool.Each(dir, func(event []byte, _ time.Time) error { // first: what is delivered leaves the disk
			_, id, _ := strings.Cut(string(event), `"transaction_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			safe[id] = true
			return nil
		})
		c.mu.Lock()
		defer c.mu.Unlock()
		for i := range p.sure {
			if id := fmt.Sprintf("%s-%d", p.name, i); err != nil || !safe[id] && c.seen[id] == "" {
				return false
			}
		}
		return true
	}, time.Minute, 20*time.Millisecond)
	_ = p.Process.Kill()
	p.ended.Wait()
}

// An outage of the collector, offered as fast as possible what comes in minutes, with processes that are killed in it and
// some that overlap: what was on disk before a kill arrives, and what arrives twice is the same event.
func TestOutageWithKills(t *testing.T) {
	total := 60000
	if os.Getenv("SOAK") != "" {
		total = 300000 // ten minutes at 500 a second
	}
	dir := t.TempDir()
	c := newOutageCollector(t)
	const processes = 6
	var all []*gatewayProcess
	offered := 0
	for i := range processes {
		p := startGateway(t, dir, c.URL, fmt.Sprintf("p%d", i), total/processes)
		all = append(all, p)
		time.Sleep(time.Duration(rand.IntN(300)) * time.Millisecond)
		if i > 0 { // the two have overlapped
			all[i-1].kill(t, dir, c)
		}
		if i == processes-2 {
			c.up.Store(true)
		}
		if i == processes-1 {
			break
		}
		if i%2 == 0 { // after it has offered everything; else in the middle
			require.Eventually(t, func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.took == p.count
			}, time.Minute, time.Millisecond)
		}
	}
	last := all[len(all)-1]
	last.sure = last.count
	missing := func() (n int, first string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, p := range all {
			p.mu.Lock()
			for i := range p.sure {
				if id := fmt.Sprintf("%s-%d", p.name, i); c.seen[id] == "" {
					n++
					first = id
				}
			}
			p.mu.Unlock()
		}
		return n, first
	}
	assert.Eventually(t, func() bool { n, _ := missing(); return n == 0 }, 3*time.Minute, 100*time.Millisecond)
	n, first := missing()
	assert.Zero(t, n, first)
	// The last answers may have been lost: then there is something to send again, for which an end does not wait for long.
	assert.Eventually(t, func() bool { n, err := countSpool(dir); return err == nil && n == 0 }, 3*time.Minute, 20*time.Millisecond)
	_ = last.stdin.Close()
	last.ended.Wait()
	assert.Equal(t, "0", last.lost)
	for _, p := range all {
		offered += p.sure
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	assert.Empty(t, c.bad)
	t.Logf("%d events had to arrive, %d did, %d of them again", offered, len(c.seen), c.more)
	assert.Greater(t, offered, total/3)
}
