package send

import (
	"context"
	"os"
	"sync/atomic"
	"time"

	"kong-go-plugins/moesif/spool"
)

const (
	// replayLook is how often a replay looks how far it is, replayIdle after how long without an event on its way the rest
	// belongs to processes that run: the spool looks for those that have ended once a second.
	replayLook = 50 * time.Millisecond
	replayIdle = 2500 * time.Millisecond
	// replayHolds is how many answers in a row say that the collector takes nothing.
	replayHolds = opinions + 1
)

// A Replayed says what became of the events of a spool.
type Replayed struct {
	Found   int // events before
	Sent    int
	Dropped int // refused by the collector
	Left    int // events after, which are still in the spool
}

// Replay sends what ended processes have left in the spool that set.SpoolFolder names, until nothing is left, or the
// collector takes nothing for as long as patience or refuses the application, or ctx ends. What is left stays.
func Replay(ctx context.Context, set Settings, env Env, patience time.Duration) (r Replayed, err error) {
	if r.Found, err = countSpool(set.SpoolFolder); err != nil || r.Found == 0 {
		return r, err
	}
	p := &progress{}
	q := newQueue(set, env, func(set Settings) sender { return &watched{sender: newSender(set, env), progress: p} })
	begin := time.Now()
	busy, moved := begin, begin // when the queue held something last, and when something was sent last
	var seen int64
	look := time.NewTicker(replayLook)
	defer look.Stop()
	for ctx.Err() == nil && int(p.sent.Load()) < r.Found {
		now := time.Now()
		if events, _ := q.Size(); events > 0 || !q.spool.Opened() {
			busy = now
		}
		if n := p.sent.Load(); n > seen {
			seen, moved = n, now
		}
		if now.Sub(busy) > replayIdle || now.Sub(moved) > patience || p.holds.Load() >= replayHolds {
			break
		}
		select {
		case <-ctx.Done():
		case <-look.C:
		}
	}
	ended, cancel := context.WithCancel(context.WithoutCancel(ctx))
	if int(p.sent.Load()) < r.Found {
		cancel() // what is left shall stay
	}
	q.Close(ended)
	cancel()
	r.Sent = int(p.sent.Load())
	r.Left, err = countSpool(set.SpoolFolder)
	r.Dropped = max(r.Found-r.Sent-r.Left, 0)
	return r, err
}

func countSpool(folder string) (events int, err error) {
	if _, err := os.Stat(folder); err != nil {
		return 0, err
	}
	_, err = spool.Each(folder, func([]byte, time.Time) error { events++; return nil })
	return events, err
}

// progress is what a replay learns from its uploads.
type progress struct {
	sent  atomic.Int64
	holds atomic.Int32 // answers in a row that the collector takes nothing
}

type watched struct {
	sender
	progress *progress
}

func (w *watched) upload(ctx context.Context, events [][]byte) outcome {
	o := w.sender.upload(ctx, events)
	switch o.class {
	case sent:
		w.progress.sent.Add(int64(len(events)))
		w.progress.holds.Store(0)
	case hold:
		w.progress.holds.Add(1)
	}
	return o
}
