package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// write is the goroutine that owns the segment that is written: it opens the log and then writes the tail in groups, until
// the log is closed and everything is written or cannot be.
func (l *Log) write() {
	defer l.guard()
	if l.open() {
		l.adopt()
	}
	close(l.opened)
	l.o.Ready()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for closing := false; ; {
		if !closing {
			select {
			case <-l.wake:
			case <-l.closing:
			}
			timer.Reset(commitAfter) // what comes in this time goes with it
			select {
			case <-timer.C:
			case <-l.closing:
				closing = true
			}
		}
		if ok := l.commit(); ok && closing {
			return
		} else if !ok {
			if closing {
				return
			}
			timer.Reset(retryEvery)
			select {
			case <-timer.C:
			case <-l.closing:
			}
			kick(l.wake)
		}
	}
}

// open makes our folder.
func (l *Log) open() (ok bool) {
	path, lock, err := createFolder(l.dir)
	if err != nil {
		l.fail("cannot be used, events wait in memory only", err)
		return false
	}
	l.mu.Lock()
	l.own.path, l.own.lock = path, lock
	l.failing, l.gone = false, false
	l.mu.Unlock()
	return true
}

// fail makes Append refuse until a write succeeds.
func (l *Log) fail(what string, err error) {
	l.mu.Lock()
	l.failing = true
	l.mu.Unlock()
	l.say(what, err)
}

// commit writes the tail and reports whether all of it is written.
func (l *Log) commit() (ok bool) {
	l.mu.Lock()
	lost := 0
	if l.gone {
		lost = l.abandonLocked()
	}
	absent := l.own.lock == nil
	l.mu.Unlock()
	l.lose(IO, lost)
	if absent && !l.open() {
		return false
	}
	for {
		group, first, size, recovering := l.group()
		if len(group) == 0 {
			if recovering {
				l.recovered()
			}
			return true
		}
		l.makeRoom(int64(size))
		if err := l.begin(first, size); err != nil {
			l.fail("cannot be written, new events wait in memory only", err)
			return false
		}
		l.buffer = l.buffer[:0]
		for i, e := range group {
			l.buffer = appendRecord(l.buffer, record{number: first + uint64(i), at: e.at, event: e.event})
		}
		if err := l.put(l.buffer); err != nil {
			l.fail("cannot be written, new events wait in memory only", err)
			return false
		}
		l.written(len(group), int64(size), group[len(group)-1].at)
		if recovering {
			l.recovered()
		}
	}
}

// group returns what is written next, the number of its first event and its size on disk.
func (l *Log) group() (group []entry, first uint64, size int, failing bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.tail) && (n == 0 || size+recordSize(l.tail[n].event) <= min(writeBytes, l.segmentBytes()/2)) {
		size += recordSize(l.tail[n].event)
		n++
	}
	return l.tail[:n:n], l.own.end - uint64(len(l.tail)), size, l.failing // the tail only grows at its end
}

func (l *Log) recovered() {
	l.mu.Lock()
	l.failing = false
	l.mu.Unlock()
}

// segmentBytes is the size at which a segment is full: a small part of the room, since what goes goes in segments.
func (l *Log) segmentBytes() int { return int(min(max(l.o.MaxBytes/16, 32<<10), 4<<20)) }

// begin makes a new segment when the current one has no room for size bytes.
func (l *Log) begin(first uint64, size int) error {
	l.mu.Lock()
	i := len(l.own.segments) - 1
	if l.current != nil && !l.rotate && l.own.segments[i].bytes+int64(size) <= int64(l.segmentBytes()) {
		l.mu.Unlock()
		return nil
	}
	l.retireLocked()
	path := filepath.Join(l.own.path, segmentName(first))
	behind := len(l.full) >= maxUnsynced
	err := l.dropEmptyLocked()
	l.mu.Unlock()
	if err != nil {
		return err
	}
	if behind {
		l.sync() // the disk is slower than the events
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if n, err := l.o.disk.write(file, []byte(magic)); err != nil || n < len(magic) {
		_ = file.Close()
		_ = os.Remove(path)
		return err
	}
	l.mu.Lock()
	l.current, l.dirty, l.entries = file, true, true
	l.own.segments = append(l.own.segments, segment{path: path, first: first, end: first, bytes: int64(len(magic))})
	l.bytes += int64(len(magic))
	l.mu.Unlock()
	return nil
}

// dropEmptyLocked removes the last segment if its first write has failed: the next one is to have its name.
func (l *Log) dropEmptyLocked() error {
	i := len(l.own.segments) - 1
	if i < 0 {
		return nil
	}
	s := l.own.segments[i]
	if s.first < s.end {
		return nil
	}
	if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l.own.segments = l.own.segments[:i]
	l.bytes -= s.bytes
	return nil
}

// retireLocked ends the current segment. The keeper forces it to disk.
func (l *Log) retireLocked() {
	l.rotate = false
	if l.current != nil {
		l.full = append(l.full, l.current)
		l.current, l.dirty = nil, false
		kick(l.stir)
	}
}

// put writes to the current segment. After a failure the segment ends where it ended before.
func (l *Log) put(b []byte) error {
	n, err := l.o.disk.write(l.current, b)
	if err == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n > 0 {
		_ = l.current.Truncate(l.own.segments[len(l.own.segments)-1].bytes)
	}
	l.retireLocked()
	return err
}

// written moves n events from the tail to the current segment.
func (l *Log) written(n int, size int64, newest time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.own.segments[len(l.own.segments)-1]
	s.end += uint64(n)
	s.bytes += size
	s.newest = newest
	l.bytes += size
	l.dropTailLocked(n)
	l.dirty = true
	kick(l.stir)
}

func (l *Log) dropTailLocked(n int) {
	for _, e := range l.tail[:n] {
		l.waiting -= int64(recordSize(e.event))
	}
	clear(l.tail[:n])
	if l.tail = l.tail[n:]; len(l.tail) == 0 {
		l.tail = nil
	}
}

// makeRoom removes the oldest segments until size more bytes fit.
func (l *Log) makeRoom(size int64) {
	lost, gone := l.overflow(size)
	for _, path := range gone {
		_ = os.Remove(path)
	}
	l.lose(Full, lost)
}

func (l *Log) overflow(size int64) (lost int, gone []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.bytes+size+int64(len(magic)) > l.o.MaxBytes {
		f := l.own
		for _, a := range l.adopted {
			if len(a.segments) > 0 {
				f = a
				break
			}
		}
		if len(f.segments) == 0 {
			break
		}
		n, path := l.dropSegmentLocked(f, 0)
		lost += n
		gone = append(gone, path)
	}
	return lost, gone
}

// dropSegmentLocked takes the ith segment off a folder and returns how many of its events are lost: those that somebody
// holds in memory are not.
func (l *Log) dropSegmentLocked(f *folder, i int) (lost int, path string) {
	s := f.segments[i]
	if f == l.own && i == len(f.segments)-1 && l.current != nil {
		_ = l.current.Close()
		l.current, l.dirty = nil, false
	}
	if f.next < s.end {
		lost = l.missLocked(f, s.end)
	}
	f.done.settle(s.first, s.end)
	f.segments = append(f.segments[:i:i], f.segments[i+1:]...)
	l.bytes -= s.bytes
	return lost, s.path
}

// abandonLocked gives up a folder that somebody has removed, and returns how many events that costs.
func (l *Log) abandonLocked() (lost int) {
	l.gone = false
	l.retireLocked()
	first := l.own.end - uint64(len(l.tail))
	lost = l.missLocked(l.own, first)
	l.own.done.settle(0, first)
	l.bytes -= l.own.bytes()
	l.own.segments = nil
	l.own.release()
	return lost
}
