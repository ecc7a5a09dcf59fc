package send

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A fakeCollector takes what reaches it and answers by the answer function; nil takes everything.
type fakeCollector struct {
	answer func(ctx context.Context, events []string) outcome

	mu       sync.Mutex
	start    time.Time
	attempts []attempt
	taken    []string
}

type attempt struct {
	at     time.Duration
	events []string
	class  class
}

func (f *fakeCollector) upload(ctx context.Context, events [][]byte) outcome {
	var list []string
	for _, e := range events {
		list = append(list, string(e))
	}
	o := outcome{class: sent, status: 201}
	at := time.Since(f.start)
	if f.answer != nil {
		o = f.answer(ctx, list)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attempts = append(f.attempts, attempt{at, list, o.class})
	if o.class == sent {
		f.taken = append(f.taken, list...)
	}
	return o
}

func (f *fakeCollector) close() {}

// seen returns the attempts so far.
func (f *fakeCollector) seen() []attempt {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.attempts)
}

// got returns the events that it took.
func (f *fakeCollector) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.taken)
}

func (f *fakeCollector) sizes() (n []int) {
	for _, a := range f.seen() {
		n = append(n, len(a.events))
	}
	return n
}

// A testQueue is a queue in a synctest bubble, with its collector and the lines it says.
type testQueue struct {
	*Queue
	collector *fakeCollector
	mu        sync.Mutex
	notices   []string
}

func startQueue(collector *fakeCollector, change ...func(*Settings)) *testQueue {
	set := Settings{MaxEvents: 1000, MaxBytes: 1 << 30, DropNewest: true, BatchEvents: 10, FlushAfter: time.Second}
	for _, f := range change {
		f(&set)
	}
	collector.start = time.Now()
	q := &testQueue{collector: collector}
	q.Queue = newQueue(set, Env{Metrics: NewMetrics(), Notice: func(cause, text string) {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.notices = append(q.notices, cause+": "+text)
	}}, func(Settings) sender { return collector })
	return q
}

// add queues n events, e0 and on, and returns their names.
func (q *testQueue) add(n int) (names []string) {
	for i := range n {
		name := fmt.Sprintf("e%d", i)
		q.Add([]byte(name))
		names = append(names, name)
	}
	return names
}

// lines returns what was said so far.
func (q *testQueue) lines() []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.notices)
}

func (q *testQueue) said() string { return strings.Join(q.lines(), "\n") }

func last(lines []string) string { return lines[len(lines)-1] }

func (q *testQueue) end(t *testing.T, timeout time.Duration) (left int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	left = q.Close(ctx)
	events, bytes := q.Size()
	assert.Zero(t, events)
	assert.Zero(t, bytes)
	total := counterValue(t, q.env.Metrics.queued)
	assert.Equal(t, total, counterValue(t, q.env.Metrics.sent)+counterValue(t, q.env.Metrics.dropped)-droppedBy(t, q.env.Metrics, dropQueueFull)-
		droppedBy(t, q.env.Metrics, dropTooLarge)-droppedBy(t, q.env.Metrics, dropClosed), "every queued event is accounted for")
	return left
}

func TestBatchByCountAndAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		q := startQueue(c)
		want := q.add(25)
		synctest.Wait()
		assert.Equal(t, []int{10, 10}, c.sizes(), "full batches leave at once")
		time.Sleep(999 * time.Millisecond)
		synctest.Wait()
		assert.Len(t, c.seen(), 2)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		assert.Equal(t, []int{10, 10, 5}, c.sizes(), "the rest when its oldest event is old enough")
		assert.Equal(t, want, c.got())
		assert.Zero(t, q.end(t, time.Second))
		assert.Empty(t, q.lines())
	})
}

func TestBatchByBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		q := startQueue(c)
		third := []byte(strings.Repeat("x", maxBatchBytes/3))
		for range 4 {
			q.Add(third)
		}
		synctest.Wait()
		assert.Equal(t, []int{2}, c.sizes(), "the third would have been over the limit with its comma")
		q.Add([]byte(strings.Repeat("x", maxBatchBytes+1)))
		synctest.Wait()
		assert.Equal(t, []int{2, 2}, c.sizes())
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []int{2, 2, 1}, c.sizes(), "an event larger than a batch goes alone")
		q.end(t, time.Second)
	})
}

func TestAnIdleQueueWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		q := startQueue(c)
		time.Sleep(24 * time.Hour)
		q.add(1)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Equal(t, []string{"e0"}, c.got())
		q.end(t, time.Second)
	})
}

// An outage: everything waits, in order, and is sent when it is over.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		c := &fakeCollector{}
		c.answer = func(context.Context, []string) outcome {
			if down.Load() {
				return outcome{class: retry, status: 503}
			}
			return outcome{class: sent, status: 201}
		}
		q := startQueue(c)
		want := q.add(35)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		events, _ := q.Size()
		assert.Equal(t, 35, events, "nothing is lost")
		tries := len(c.seen())
		assert.Greater(t, tries, 10)
		assert.Less(t, tries, 80, "the attempts get rarer")
		assert.Equal(t, want[:10], c.seen()[0].events, "the oldest batch goes first")
		down.Store(false)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		assert.ElementsMatch(t, want, c.got())
		assert.Regexp(t, `^failing: the collector answered 503; \d+ events wait and are tried again$`, q.lines()[0])
		assert.InDelta(t, 1+10, len(q.lines()), 1, "and once a minute")
		assert.Equal(t, "summary: for 1m1s: the collector answered 503; 35 events wait and are tried again", q.lines()[1])
		assert.Zero(t, q.end(t, time.Second))
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		c.answer = func(context.Context, []string) outcome {
			if len(c.seen()) == 0 {
				return outcome{class: retry, status: 429, after: 90 * time.Second}
			}
			return outcome{class: sent, status: 201}
		}
		q := startQueue(c)
		q.add(10)
		time.Sleep(89 * time.Second)
		synctest.Wait()
		assert.Len(t, c.seen(), 1)
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Len(t, c.got(), 10)
		q.end(t, time.Second)
	})
}

// One event that the collector refuses costs only itself.
func TestPoison(t *testing.T) {
	for _, poison := range []string{"e0", "e6", "e9"} {
		synctest.Test(t, func(t *testing.T) {
			c := &fakeCollector{}
			c.answer = func(_ context.Context, events []string) outcome {
				for _, e := range events {
					if e == poison {
						return outcome{class: split, status: 400}
					}
				}
				return outcome{class: sent, status: 201}
			}
			q := startQueue(c)
			var want []string
			for _, name := range q.add(20) {
				if name != poison {
					want = append(want, name)
				}
			}
			synctest.Wait()
			assert.Equal(t, want, c.got(), "the order stays")
			assert.LessOrEqual(t, len(c.seen()), 1+2*4+1)
			assert.Equal(t, 1.0, droppedBy(t, q.env.Metrics, dropRefused))
			assert.Equal(t, []string{"dropped: events dropped: refused 1"}, q.lines())
			q.end(t, time.Second)
		})
	}
}

func TestEverythingIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mended atomic.Bool
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			return map[bool]outcome{true: {class: sent, status: 201}, false: {class: split, status: 413}}[mended.Load()]
		}}
		q := startQueue(c, func(s *Settings) { s.BatchEvents = 100 })
		q.add(100)
		synctest.Wait()
		assert.Equal(t, float64(maxRefusedRow), droppedBy(t, q.env.Metrics, dropRefused), "then it goes slowly")
		assert.Less(t, len(c.seen()), 3*maxRefusedRow)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		events, _ := q.Size()
		assert.Greater(t, events, 30, "most of what is refused may be wanted later")
		assert.Less(t, events, 100-maxRefusedRow)
		assert.Contains(t, q.said(), "failing: the collector answered 413 to each of the last 16 events: check api_endpoint")
		mended.Store(true)
		time.Sleep(time.Minute + time.Second)
		synctest.Wait()
		assert.Len(t, c.got(), events)
		q.end(t, time.Second)
	})
}

// A link that is too slow for a batch within send_timeout takes its halves: the batch does not block all others.
func TestSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		c.answer = func(_ context.Context, events []string) outcome {
			if len(events) > 3 {
				time.Sleep(5 * time.Second)
				return outcome{class: retry, err: fmt.Errorf("%w within 5s", errNoAnswer)}
			}
			return outcome{class: sent, status: 201}
		}
		q := startQueue(c)
		want := q.add(20)
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		assert.ElementsMatch(t, want, c.got())
		q.end(t, time.Second)
	})
}

// A queue without configurations has minutes to go: it does not press a collector that is down.
func TestALongCloseIsPatient(t *testing.T) {
	for _, o := range []outcome{{class: retry, status: 503}, {class: retry, status: 503, after: time.Minute}, {class: hold, status: 402}} {
		synctest.Test(t, func(t *testing.T) {
			c := &fakeCollector{answer: func(context.Context, []string) outcome { return o }}
			q := startQueue(c)
			q.add(5)
			assert.Equal(t, 5, q.end(t, 10*time.Minute))
			assert.Greater(t, len(c.seen()), 8)
			assert.Less(t, len(c.seen()), 80)
		})
	}
}

// The process ends while a queue without configurations waits for its collector: it tries again at once.
func TestASecondCloseIsInAHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			return map[bool]outcome{true: {class: retry, status: 503, after: time.Hour}, false: {class: sent, status: 201}}[down.Load()]
		}}
		q := startQueue(c)
		want := q.add(5)
		var first sync.WaitGroup
		first.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			assert.Zero(t, q.Close(ctx))
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		down.Store(false)
		start := time.Now()
		assert.Zero(t, q.end(t, 5*time.Second))
		assert.Less(t, time.Since(start), 2*time.Second)
		assert.Equal(t, want, c.got())
		first.Wait()
	})
}

// The memory of a queue that an outage has filled goes back.
func TestAnEmptyQueueIsSmall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		down.Store(true)
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			return map[bool]outcome{true: {class: retry, status: 500}, false: {class: sent, status: 201}}[down.Load()]
		}}
		q := startQueue(c, func(s *Settings) { s.MaxEvents = 100000; s.BatchEvents = 1000 })
		q.add(100000)
		down.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		require.Len(t, c.got(), 100000)
		assert.LessOrEqual(t, cap(q.window.events), keepRoom)
		q.end(t, time.Second)
	})
}

// Whatever the collector answers, whatever the bounds are and become: the account is exact, the bounds hold, every event
// that was taken on is sent once or dropped and counted, and the order stays.
func TestAccount(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			answers := []outcome{{class: sent, status: 201}, {class: sent, status: 200}, {class: sent, status: 202}, {class: retry, status: 500},
				{class: retry, status: 429, after: time.Second}, {class: split, status: 400}, {class: hold, status: 401},
				{class: retry, err: fmt.Errorf("%w within 5s", errNoAnswer)}}
			c := &fakeCollector{}
			var mu sync.Mutex // for r
			random := func(n int) int {
				mu.Lock()
				defer mu.Unlock()
				return r.IntN(n)
			}
			c.answer = func(context.Context, []string) outcome {
				time.Sleep(time.Duration(random(300)) * time.Millisecond)
				if random(100) == 0 {
					panic("defect")
				}
				return answers[random(len(answers))]
			}
			producer := rand.New(rand.NewPCG(seed, 2))
			vary := func(s *Settings) {
				s.MaxEvents, s.MaxBytes, s.BatchEvents = 1+producer.IntN(100), 200+producer.IntN(10000), 1+producer.IntN(20)
				s.FlushAfter = time.Duration(1+producer.IntN(2000)) * time.Millisecond
			}
			q := startQueue(c, vary)
			accepted := 0
			for i := range 500 {
				events, bytes := q.Size()
				event := fmt.Appendf(make([]byte, 0, 8+producer.IntN(400)), "%d", i)
				set := q.Settings()
				room := events < set.MaxEvents && bytes+cap(event)+eventOverhead <= set.MaxBytes
				ok := q.Add(event)
				if ok {
					accepted++
					events, bytes = q.Size()
					assert.LessOrEqual(t, events, set.MaxEvents)
					assert.LessOrEqual(t, bytes, set.MaxBytes)
				}
				assert.True(t, ok || !room, "there was room")
				if producer.IntN(50) == 0 {
					vary(&set)
					q.Configure(set)
				}
				time.Sleep(time.Duration(producer.IntN(200)) * time.Millisecond)
			}
			q.end(t, time.Duration(producer.IntN(60))*time.Second)
			dropped := 0.0
			for _, reason := range []string{dropRefused, dropShutdown, dropPanic} {
				dropped += droppedBy(t, q.env.Metrics, reason)
			}
			assert.Equal(t, accepted, len(c.got())+int(dropped))
			seen := map[string]bool{}
			for _, e := range c.got() {
				require.False(t, seen[e], "%s was sent twice", e)
				seen[e] = true
			}
		})
	}
}

// A wrong application id: nothing is lost, one line, a question every minute.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int32
		status.Store(401)
		c := &fakeCollector{}
		c.answer = func(context.Context, []string) outcome {
			s := int(status.Load())
			return outcome{class: classify(s), status: s}
		}
		q := startQueue(c)
		want := q.add(30)
		time.Sleep(10*time.Minute + time.Second)
		synctest.Wait()
		assert.Len(t, c.seen(), 13, "two that ask whether it is the batch, then every minute")
		assert.Regexp(t, "^held, the collector answered 401: check application_id: the collector answered 401: check application_id; "+
			`\d+ events wait and are tried again every minute$`, q.lines()[0])
		assert.Len(t, q.lines(), 1+9, "and one line a minute")
		status.Store(404)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Contains(t, last(q.lines()), "answered 404: check api_endpoint", "another status is another line")
		status.Store(201)
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.ElementsMatch(t, want, c.got())
		q.end(t, time.Second)
	})
}

func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{answer: func(context.Context, []string) outcome { return outcome{class: retry, status: 500} }}
		q := startQueue(c, func(s *Settings) { s.MaxEvents = 12; s.MaxBytes = 3000 })
		q.add(20)
		events, _ := q.Size()
		assert.Equal(t, 12, events)
		assert.False(t, q.Add(make([]byte, 5000)))
		assert.Equal(t, 8.0, droppedBy(t, q.env.Metrics, dropQueueFull))
		assert.Equal(t, 1.0, droppedBy(t, q.env.Metrics, dropTooLarge))
		q.Configure(Settings{MaxEvents: 100, MaxBytes: 3000, DropNewest: true, BatchEvents: 10, FlushAfter: time.Second})
		for range 100 {
			q.Add(make([]byte, 100))
		}
		_, bytes := q.Size()
		assert.LessOrEqual(t, bytes, 3000)
		assert.Greater(t, bytes, 2800)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		for _, n := range q.lines() {
			assert.True(t, strings.HasPrefix(n, "failing: ") || strings.HasPrefix(n, "dropped: ") || strings.HasPrefix(n, "summary: "), n)
		}
		q.end(t, time.Second)
	})
}

// Drops are said at once, then summed up once a minute, and the rest when the queue ends.
func TestDropsAreSaidOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 10)
		d := newDrops(NewMetrics(), func(cause, text string) { said <- cause + ": " + text })
		d.add(dropQueueFull, 1)
		d.add(dropQueueFull, 2)
		d.add(dropRefused, 3)
		d.add(dropQueueFull, 0)
		assert.Equal(t, "dropped: events dropped: queue_full 1", <-said)
		start := time.Now()
		assert.Equal(t, "summary: events dropped: queue_full 2, refused 3", <-said)
		assert.Equal(t, dropInterval, time.Since(start))
		time.Sleep(10 * dropInterval)
		assert.Empty(t, said, "nothing more to say")
		d.add(dropRefused, 1)
		d.add(dropRefused, 1)
		assert.Equal(t, "dropped: events dropped: refused 1", <-said)
		assert.Empty(t, said)
		d.close()
		assert.Equal(t, "dropped at the end: events dropped: refused 1", <-said)
		d.close()
		assert.Empty(t, said)
	})
}

func TestCloseSendsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		q := startQueue(c)
		want := q.add(25)
		assert.Zero(t, q.end(t, time.Second))
		assert.ElementsMatch(t, want, c.got())
		assert.Less(t, time.Since(c.start), time.Millisecond, "without waiting for their age")
		assert.False(t, q.Add([]byte("late")))
		assert.Equal(t, 1.0, droppedBy(t, q.env.Metrics, dropClosed))
		assert.Zero(t, q.Close(t.Context()))
	})
}

func TestCloseDuringAnOutage(t *testing.T) {
	for name, c := range map[string]*fakeCollector{
		"overload": {answer: func(context.Context, []string) outcome { return outcome{class: retry, status: 503} }},
		"hangs": {answer: func(ctx context.Context, _ []string) outcome {
			<-ctx.Done()
			return outcome{class: retry, err: ctx.Err()}
		}},
		"refuses the application": {answer: func(context.Context, []string) outcome { return outcome{class: hold, status: 401} }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := startQueue(c)
				q.add(25)
				time.Sleep(10 * time.Minute)
				before := time.Now()
				assert.Equal(t, 25, q.end(t, 5*time.Second))
				assert.LessOrEqual(t, time.Since(before), 5*time.Second)
				assert.Equal(t, 25.0, droppedBy(t, q.env.Metrics, dropShutdown))
				assert.Contains(t, last(q.lines()), "events dropped: shutdown 25")
			})
		})
	}
}

// A collector that comes back while we drain gets everything, though the queue was in a long back-off.
func TestCloseEndsTheBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var up atomic.Bool
		c := &fakeCollector{}
		c.answer = func(context.Context, []string) outcome {
			if up.Load() {
				return outcome{class: sent, status: 201}
			}
			return outcome{class: retry, status: 503, after: 5 * time.Minute}
		}
		q := startQueue(c)
		want := q.add(25)
		time.Sleep(time.Minute)
		synctest.Wait()
		up.Store(true)
		assert.Zero(t, q.end(t, 5*time.Second))
		assert.ElementsMatch(t, want, c.got())
	})
}

func TestAPanicCostsOneBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		c.answer = func(_ context.Context, events []string) outcome {
			switch {
			case len(c.seen()) == 0:
				return outcome{class: split, status: 400}
			case events[0] == "e5":
				panic("defect")
			}
			return outcome{class: sent, status: 201}
		}
		q := startQueue(c)
		want := q.add(20)
		synctest.Wait()
		assert.Equal(t, append(want[:5:5], want[10:]...), c.got())
		assert.Equal(t, 5.0, droppedBy(t, q.env.Metrics, dropPanic))
		q.end(t, time.Second)
	})
}

func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{}
		q := startQueue(c)
		q.add(4)
		synctest.Wait()
		assert.Empty(t, c.seen())
		other := &fakeCollector{start: time.Now()}
		q.build = func(Settings) sender { return other }
		q.Configure(Settings{MaxEvents: 100, MaxBytes: 1 << 20, BatchEvents: 2, FlushAfter: time.Second})
		synctest.Wait()
		assert.Equal(t, []int{2, 2}, other.sizes(), "the newest configuration counts at once")
		assert.Empty(t, c.seen())
		q.end(t, time.Second)
	})
}

// Many producers, and an outage now and then: nothing is lost, nothing comes twice.
func TestManyProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var uploads atomic.Int32
		c := &fakeCollector{}
		c.answer = func(context.Context, []string) outcome {
			time.Sleep(20 * time.Millisecond)
			if uploads.Add(1)%7 == 3 {
				return outcome{class: retry, status: 500}
			}
			return outcome{class: sent, status: 201}
		}
		q := startQueue(c, func(s *Settings) { s.MaxEvents = 100000; s.BatchEvents = 50 })
		const producers, each = 8, 500
		var wg sync.WaitGroup
		var want []string
		for p := range producers {
			for i := range each {
				want = append(want, fmt.Sprintf("%d %d", p, i))
			}
			wg.Go(func() {
				for i := range each {
					assert.True(t, q.Add(fmt.Appendf(nil, "%d %d", p, i)))
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		assert.Zero(t, q.end(t, time.Hour))
		assert.ElementsMatch(t, want, c.got())
	})
}
