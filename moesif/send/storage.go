package send

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"kong-go-plugins/moesif/spool"
)

// Where a queue keeps its events. Each is appended to the spool, if there is one, when it enters, and held in memory as well
// as long as there is room and nothing older is on disk alone. When the memory is full the rest waits on disk alone, and is
// read back in order when there is room again.

const (
	// maxBatchBytes is the largest upload, in bytes before compression. The collector takes 50 MB; an event that is larger
	// alone still goes, by itself.
	maxBatchBytes = 8 << 20
	// unreadyWait is how long take waits for a disk that cannot be read at the moment.
	unreadyWait = 100 * time.Millisecond
	// spoolCloseTime is what the spool may take at the end to force its events to disk.
	spoolCloseTime = 2 * time.Second
)

// openSpool opens the log on disk, or returns nil when events wait in memory only.
func (q *Queue) openSpool(set Settings) *spool.Log {
	folder := set.SpoolFolder
	switch {
	case folder != "":
	case set.SpoolDir == "":
		return nil
	default:
		folder = spool.Folder(set.SpoolDir, set.Endpoint, set.ApplicationID)
	}
	return spool.Open(folder, spool.Options{
		MaxBytes: set.SpoolMaxBytes, MaxAge: set.SpoolMaxAge, DropNewest: set.DropNewest,
		Lost:    q.drops.add,
		Adopted: func(events int) { q.env.Metrics.adopted.Add(float64(events)) },
		Report:  q.env.Notice,
		Ready:   q.signal,
	})
}

// configureSpoolLocked takes the spool's new bounds. It stays in its folder.
func (q *Queue) configureSpoolLocked(set Settings) {
	if set.SpoolDir != q.set.SpoolDir {
		q.env.Notice("spool_dir", "spool_dir has changed: the new one is used from the next start of the plugin on")
		set.SpoolDir = q.set.SpoolDir
	}
	if q.spool != nil {
		q.spool.Configure(spool.Options{MaxBytes: set.SpoolMaxBytes, MaxAge: set.SpoolMaxAge, DropNewest: set.DropNewest})
	}
}

// Add queues an event and reports whether it was taken on. It never blocks. When there is no room, the oldest events go, or
// with DropNewest this one; what goes is counted. The event must not be changed afterwards.
func (q *Queue) Add(event []byte) bool {
	q.mu.Lock()
	refused, evicted, reason := q.addLocked(event)
	q.mu.Unlock()
	q.drops.add(reason, evicted)
	if refused {
		q.drops.add(reason, 1)
		return false
	}
	q.env.Metrics.queued.Inc()
	return true
}

// addLocked reports whether the event was refused, how many others had to go for it, and why.
func (q *Queue) addLocked(event []byte) (refused bool, evicted int, reason string) {
	e := queued{event: event, at: time.Now()}
	switch {
	case q.ended:
		return true, 0, dropClosed
	case size(event) > q.set.MaxBytes:
		return true, 0, dropTooLarge
	}
	reason = dropQueueFull
	if q.spool != nil {
		id, held, refusal := q.spool.Append(event, e.at, !q.reading && q.bytes < windowBytes && q.roomLocked(size(event)))
		switch {
		case held:
			e.id = id
			q.pushLocked(e)
			return false, 0, ""
		case refusal == "":
			if q.window.len() == 0 {
				q.signal()
			}
			return false, 0, ""
		case refusal == spool.Full && q.set.DropNewest:
			return true, 0, refusal
		}
		reason = refusal // in memory only, if there is room
	}
	for !q.roomLocked(size(event)) {
		if q.set.DropNewest || q.window.len() == 0 {
			return true, evicted, reason
		}
		q.evictLocked()
		evicted++
	}
	q.pushLocked(e)
	return false, evicted, reason
}

// roomLocked reports whether an event of this size fits into memory.
func (q *Queue) roomLocked(size int) bool {
	return q.count < q.set.MaxEvents && q.bytes+size <= q.set.MaxBytes
}

func (q *Queue) pushLocked(e queued) {
	q.window.push(e)
	q.accountLocked(1, size(e.event))
	if n := q.window.len(); n == 1 || n%q.set.BatchEvents == 0 || q.bytes >= maxBatchBytes {
		q.signal()
	}
}

// evictLocked gives the oldest waiting event up.
func (q *Queue) evictLocked() {
	e := q.window.pop()
	q.accountLocked(-1, -size(e.event))
	if q.spool != nil {
		q.spool.Done([]spool.ID{e.id})
	}
}

// take removes the next batch from the waiting events, or says how long to wait for one. Its events still count until
// settle is called. It may read from disk, which Add does not wait for.
func (q *Queue) take() (b batch, wait time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	unread := q.fillLocked()
	waiting := q.window.len()
	switch {
	case waiting == 0 && unread:
		return batch{}, unreadyWait
	case waiting == 0:
		return batch{}, time.Hour
	}
	n, bytes := 0, 0
	for n < waiting && n < q.set.BatchEvents {
		if bytes += len(q.window.at(n).event) + 1; n > 0 && bytes > maxBatchBytes {
			break
		}
		n++
	}
	full := n == q.set.BatchEvents || n < waiting
	// An event from disk may come from the future, when the clock was set back.
	if age := time.Since(q.window.at(0).at); !full && age >= 0 && age < q.set.FlushAfter && !q.isClosing() {
		return batch{}, q.set.FlushAfter - age
	}
	b = batch{make([][]byte, n), make([]spool.ID, n)}
	for i := range n {
		e := q.window.pop()
		b.events[i], b.ids[i] = e.event, e.id
	}
	return b, 0
}

// fillLocked reads events back until there are enough for a batch, and reports whether there are more. The mutex is free
// while it reads; nothing that comes in meanwhile gets before what is read.
func (q *Queue) fillLocked() (unread bool) {
	if q.spool == nil || q.reading {
		return q.reading
	}
	q.reading = true
	defer func() { q.reading = false }()
	for {
		if q.spool.Unread() == 0 {
			return false
		}
		if q.window.len() >= q.set.BatchEvents || q.count > 0 && (q.bytes >= windowBytes || !q.roomLocked(0)) {
			return true
		}
		room := max(min(q.set.MaxBytes, windowBytes)-q.bytes, 1)
		events := q.readUnlocked(max(min(q.set.MaxEvents-q.count, room/eventOverhead), 1), min(room, maxBatchBytes))
		if len(events) == 0 {
			return true
		}
		for _, e := range events {
			q.window.push(queued{e.Data, e.At, e.ID})
			q.accountLocked(1, size(e.Data))
		}
	}
}

func (q *Queue) readUnlocked(events, bytes int) []spool.Event {
	q.mu.Unlock()
	defer q.mu.Lock()
	return q.spool.Read(events, bytes)
}

// settle takes events off the account that were sent or dropped: all of a batch or a part of it.
func (q *Queue) settle(b batch) {
	bytes := 0
	for _, e := range b.events {
		bytes += size(e)
	}
	q.mu.Lock()
	q.accountLocked(-b.len(), -bytes)
	q.mu.Unlock()
	if q.spool != nil {
		q.spool.Done(b.ids)
	}
}

// waiting returns how many events wait for an upload, in memory and on disk, those on their way left out.
func (q *Queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := q.window.len()
	if q.spool != nil {
		n += q.spool.Unread()
	}
	return n
}

// Size returns how many events the queue holds, those on disk and on their way included, and what they take of the memory.
func (q *Queue) Size() (events, bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	events = q.count
	if q.spool != nil {
		events += q.spool.Unread()
	}
	return events, q.bytes
}

// SpoolSize returns how many events are on disk, those that are in memory as well included, and their bytes there.
func (q *Queue) SpoolSize() (events int, bytes int64) {
	if q.spool == nil {
		return 0, 0
	}
	return q.spool.Size()
}

// leave gives up what nobody sends any more: what is on disk waits there for another process, the rest is lost.
func (q *Queue) leave(ctx context.Context) (lost int) {
	q.mu.Lock()
	lost = q.count
	q.accountLocked(-q.count, -q.bytes)
	q.window = window{}
	q.mu.Unlock()
	if q.spool != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), spoolCloseTime)
		defer cancel()
		left, held := q.spool.Close(ctx)
		lost = max(lost-held, 0)
		if left > 0 {
			slog.Info(fmt.Sprintf("moesif: %d events stay in the spool, for the next process", left))
		}
	}
	q.drops.add(dropShutdown, lost)
	return lost
}
