package send

import (
	"context"
	"errors"
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

// feed adds events of these names at a steady pace and returns when each was added.
func (q *testQueue) feed(names []string, every time.Duration) (added map[string]time.Duration) {
	added = map[string]time.Duration{}
	for _, name := range names {
		q.Add([]byte(name))
		added[name] = time.Since(q.collector.start)
		time.Sleep(every)
	}
	return added
}

// assertSame is ElementsMatch for many.
func assertSame(t *testing.T, want, got []string) {
	t.Helper()
	assert.Equal(t, slices.Sorted(slices.Values(want)), slices.Sorted(slices.Values(got)))
}

func eventNames(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("e%d", i))
	}
	return names
}

// One event that the collector cannot digest, in whichever way that shows, holds up the others for a while and is given up
// in the end.
func TestAnEventThatAlwaysFails(t *testing.T) {
	for name, o := range map[string]outcome{
		"a defect":           {class: retry, status: 500},
		"the gateway's word": {class: retry, status: 502},
		"the connection cut": {class: retry, err: errors.New("EOF")},
		"no answer":          {class: retry, err: fmt.Errorf("%w within 5s", errNoAnswer)},
		"a firewall":         {class: hold, status: 403},
	} {
		for _, poison := range [][]string{{"e0"}, {"e3", "e7"}, {"e5", "e25", "e45"}} {
			t.Run(fmt.Sprint(name, poison), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &fakeCollector{}
					c.answer = func(_ context.Context, events []string) outcome {
						time.Sleep(50 * time.Millisecond)
						if slices.ContainsFunc(events, func(e string) bool { return slices.Contains(poison, e) }) {
							return o
						}
						return outcome{class: sent, status: 201}
					}
					q := startQueue(c, func(s *Settings) { s.MaxEvents = 1e5 })
					names := eventNames(4500)
					added := q.feed(names, 200*time.Millisecond)
					time.Sleep(time.Minute)
					synctest.Wait()
					assertSame(t, slices.DeleteFunc(names, func(e string) bool { return slices.Contains(poison, e) }), c.got())
					assert.Equal(t, float64(len(poison)), droppedBy(t, q.env.Metrics, dropRefused))
					// Pauses are drawn, so an unlucky row of them is long; an event that waited for a poisonous one to be
					// given up would take more than giveUpTime.
					const longest = giveUpTime / 3
					late := 0
					for _, a := range c.seen() {
						for _, e := range a.events {
							if a.class == sent && a.at-added[e] > longest {
								late++
							}
						}
					}
					assert.LessOrEqual(t, late, 9*len(poison), "only the events of its own batch wait for long")
					assert.Zero(t, q.end(t, 5*time.Second))
				})
			})
		}
	}
}

// However long the collector is down, and however it comes and goes, no event is to blame.
func TestNoOutageDropsAnything(t *testing.T) {
	// An event that chance fails as often in a row as a poisonous one is given up, so chance stops before.
	random := func(percent int) func(time.Duration, []string) bool {
		r := rand.New(rand.NewPCG(1, uint64(percent)))
		var mu sync.Mutex
		row := map[string]int{} // failures, by event
		return func(_ time.Duration, events []string) (fails bool) {
			mu.Lock()
			defer mu.Unlock()
			fails = r.IntN(100) < percent && !slices.ContainsFunc(events, func(e string) bool { return row[e] == giveUpAfter-1 })
			for _, e := range events {
				row[e]++
				if !fails {
					delete(row, e)
				}
			}
			return fails
		}
	}
	at := func(down func(at time.Duration) bool) func(time.Duration, []string) bool {
		return func(at time.Duration, _ []string) bool { return down(at) }
	}
	for name, down := range map[string]func(at time.Duration, events []string) bool{
		"a day":                     at(func(at time.Duration) bool { return at < 24*time.Hour }),
		"ten minutes of every hour": at(func(at time.Duration) bool { return at%time.Hour < 10*time.Minute }),
		"most of the time":          at(func(at time.Duration) bool { return at%time.Hour > 10*time.Minute }),
		"every other minute":        at(func(at time.Duration) bool { return at%(2*time.Minute) < time.Minute }),
		"half of the uploads":       random(50),
		"a tenth of the uploads":    random(10),
	} {
		for _, o := range []outcome{{class: retry, status: 503}, {class: retry, err: fmt.Errorf("%w within 5s", errNoAnswer)}, {class: hold, status: 401}} {
			t.Run(fmt.Sprint(name, o.status), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &fakeCollector{}
					c.answer = func(_ context.Context, events []string) outcome {
						time.Sleep(20 * time.Millisecond)
						if down(time.Since(c.start), events) {
							return o
						}
						return outcome{class: sent, status: 201}
					}
					q := startQueue(c, func(s *Settings) { s.MaxEvents = 1e6 })
					names := eventNames(3000)
					q.feed(names, 30*time.Second)
					time.Sleep(2 * time.Hour)
					synctest.Wait()
					assertSame(t, names, c.got())
					assert.Zero(t, counterValue(t, q.env.Metrics.dropped))
					assert.Zero(t, q.end(t, 5*time.Second))
				})
			})
		}
	}
}

// What an outage leaves behind in small parts is little: when it is over, the batches are full again.
func TestAnOutageDoesNotShredTheQueue(t *testing.T) {
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
		q := startQueue(c, func(s *Settings) { s.MaxEvents = 1e6; s.BatchEvents = 50 })
		names := q.add(50000)
		time.Sleep(24 * time.Hour)
		down.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		assertSame(t, names, c.got())
		small := 0
		for _, a := range c.seen() {
			if a.class == sent && len(a.events) < 50 {
				small++
			}
		}
		assert.Less(t, small, 2*maxParcels)
		q.end(t, time.Second)
	})
}

// A short queue keeps its order, a long one is emptied by several uploads at the same time.
func TestConcurrencyFollowsTheBacklog(t *testing.T) {
	for _, c := range []struct {
		name         string
		events, most int
	}{{"short", 40, 1}, {"longer", 70, 2}, {"long", 1000, maxUploads}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				running, most := 0, 0
				change := func(by int) {
					mu.Lock()
					defer mu.Unlock()
					running += by
					most = max(most, running)
				}
				collector := &fakeCollector{answer: func(context.Context, []string) outcome {
					change(1)
					time.Sleep(100 * time.Millisecond)
					change(-1)
					return outcome{class: sent, status: 201}
				}}
				q := startQueue(collector)
				q.add(c.events)
				time.Sleep(time.Minute)
				synctest.Wait()
				assert.Equal(t, c.most, most)
				assert.Len(t, collector.got(), c.events)
				q.end(t, time.Second)
			})
		})
	}
}

// While the collector fails there is one upload at a time, whatever waits.
func TestOneQuestionAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var running atomic.Int32
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			assert.EqualValues(t, 1, running.Add(1))
			time.Sleep(4 * time.Second)
			running.Add(-1)
			return outcome{class: retry, status: 503}
		}}
		q := startQueue(c, func(s *Settings) { s.MaxEvents = 1e5 })
		q.add(10)
		time.Sleep(5 * time.Second)
		q.add(10000)
		time.Sleep(time.Hour)
		q.end(t, 5*time.Second)
	})
}

// The time to drain is used by several uploads at the same time.
func TestCloseDrainsSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			time.Sleep(100 * time.Millisecond)
			return outcome{class: sent, status: 201}
		}}
		q := startQueue(c, func(s *Settings) { s.BatchEvents = 7; s.FlushAfter = time.Hour })
		q.add(1000)
		assert.Zero(t, q.end(t, 4*time.Second))
		assert.Len(t, c.got(), 1000)
	})
}

func TestCircuitIsExported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var status atomic.Int32
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			s := int(status.Load())
			return outcome{class: classify(s), status: s}
		}}
		q := startQueue(c)
		in := func(want state) {
			t.Helper()
			for _, s := range []state{closed, open, held} {
				n := 0.0
				if s == want {
					n = 1
				}
				assert.Equal(t, n, counterValue(t, q.env.Metrics.circuits.WithLabelValues(s.String())), "%s", s)
			}
		}
		synctest.Wait()
		in(closed)
		for _, step := range []struct {
			status int
			want   state
		}{{503, open}, {401, held}, {503, open}, {201, closed}, {404, held}, {201, closed}} {
			status.Store(int32(step.status))
			q.add(10)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			in(step.want)
		}
		q.end(t, time.Second)
		in(-1)
		var said []string
		for _, line := range q.lines() {
			if !strings.HasPrefix(line, "summary") {
				cause, _, _ := strings.Cut(line, ":")
				said = append(said, cause)
			}
		}
		assert.Equal(t, []string{"failing", "held, the collector answered 401", "failing", "held, the collector answered 404"}, said, "a line for each change")
	})
}

// A defect on the way costs the batch, and the queue goes on.
func TestTagsArePassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &fakeCollector{answer: func(context.Context, []string) outcome {
			return outcome{class: sent, status: 201, configTag: "c1", rulesTag: "r1"}
		}}
		q := startQueue(c)
		var mu sync.Mutex
		var got []string
		q.env.Tags = func(config, rules string) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, config+" "+rules)
			panic("defect")
		}
		q.add(20)
		synctest.Wait()
		require.Equal(t, []string{"c1 r1", "c1 r1"}, got)
		assert.Len(t, c.got(), 20)
		assert.Zero(t, counterValue(t, q.env.Metrics.dropped), "the events were sent")
		q.end(t, time.Second)
	})
}
