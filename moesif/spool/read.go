package spool

import (
	"errors"
	"io/fs"
	"syscall"
	"time"
)

// Read returns the next events, at most that many and, but for the first, of so many bytes: those of ended processes first,
// each process's in order. None means that there are none at present: Unread is 0, or the disk is not ready and
// Options.Ready will be called.
func (l *Log) Read(events, bytes int) []Event {
	l.reading.Lock()
	defer l.reading.Unlock()
	for {
		found, f, s, from := l.nextUnread(events, bytes)
		if f == nil {
			return found
		}
		if s.path == "" { // cannot be; without this it would be an endless loop
			l.giveUp(f, from, f.end, Corrupt)
			continue
		}
		if found, more := l.readSegment(f, s, from, events, bytes); len(found) > 0 || !more {
			return found
		}
	}
}

// nextUnread returns the next events when they are in memory, or else the segment to read on in, from the number from.
func (l *Log) nextUnread(events, bytes int) (found []Event, f *folder, s segment, from uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.unread == 0 || !l.readyLocked() {
		return nil, nil, segment{}, 0
	}
	f = l.unreadFolderLocked()
	if first := f.end - uint64(len(l.tail)); f == l.own && f.next >= first {
		return l.readTailLocked(int(f.next-first), events, bytes), nil, segment{}, 0
	}
	s, ok := f.segmentAt(f.next)
	if ok {
		l.skipLocked(f, max(f.next, s.first)) // over a gap, which was counted when the folder was loaded
	}
	return nil, f, s, f.next
}

func (l *Log) unreadFolderLocked() *folder {
	for _, f := range l.adopted {
		if f.next < f.end {
			return f
		}
	}
	return l.own
}

// segmentAt returns the first segment with events from number on.
func (f *folder) segmentAt(number uint64) (segment, bool) {
	for _, s := range f.segments {
		if s.end > number {
			return s, true
		}
	}
	return segment{}, false
}

// readTailLocked returns events that are not written yet, from the ith on.
func (l *Log) readTailLocked(i, events, bytes int) (found []Event) {
	for bytes = min(bytes, readBytes); i < len(l.tail) && len(found) < events; i++ {
		e := l.tail[i]
		if bytes -= len(e.event); bytes < 0 && len(found) > 0 {
			break
		}
		found = append(found, Event{e.event, e.at, ID{l.own, l.own.next}})
		l.own.next++
		l.unread--
	}
	return found
}

// readSegment reads on in a segment, from the number from. more is false when it is better to wait.
func (l *Log) readSegment(f *folder, s segment, from uint64, events, bytes int) (found []Event, more bool) {
	if r := l.reader; r == nil || r.path != s.path || r.passed(from) {
		r.close()
		l.reader = nil
		r, err := openSegment(s.path, s.first)
		if err != nil {
			return nil, l.readFailed(f, s, from, err)
		}
		l.reader = r
	}
	records, atEnd, err := l.reader.read(s.bytes, s.end)
	if err != nil {
		return nil, l.readFailed(f, s, from, err)
	}
	for len(records) > 0 && records[0].number < from { // its caller held it
		records = records[1:]
	}
	for i, r := range records {
		if bytes -= len(r.event); i == events || bytes < 0 && i > 0 {
			l.reader.back(records[i:])
			records, atEnd = records[:i:i], false
			break
		}
	}

	if !atEnd {
		s.end = l.reader.seen()
	}
	found, damaged, aged := l.accept(f, from, records, s.end)
	l.lose(Corrupt, damaged)
	l.lose(Aged, aged)
	kick(l.stir)
	return found, true
}

// accept moves on over records that were read, and up to the number end over those that are missing. When the segment had
// to go meanwhile, it does nothing.
func (l *Log) accept(f *folder, from uint64, records []record, end uint64) (found []Event, damaged, aged int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.next != from {
		return nil, 0, 0
	}
	oldest := time.Time{}
	if l.o.MaxAge > 0 {
		oldest = time.Now().Add(-l.o.MaxAge)
	}
	for _, r := range records {
		damaged += l.missLocked(f, r.number)
		if r.at.Before(oldest) {
			aged += l.missLocked(f, r.number+1)
			continue
		}
		found = append(found, Event{r.event, r.at, ID{f, r.number}})
		l.skipLocked(f, r.number+1)
	}
	damaged += l.missLocked(f, end)
	return found, damaged, aged
}

// skipLocked moves on to the number to.
func (l *Log) skipLocked(f *folder, to uint64) {
	if to > f.next {
		l.unread -= int(to - f.next)
		f.next = to
	}
}

// missLocked moves on to the number to over events that cannot be returned, and counts them.
func (l *Log) missLocked(f *folder, to uint64) (events int) {
	if to <= f.next {
		return 0
	}
	events = int(to - f.next)
	f.done.settle(f.next, to)
	l.skipLocked(f, to)
	return events
}

// giveUp counts the events up to the number to that were not read since from.
func (l *Log) giveUp(f *folder, from, to uint64, reason string) {
	l.lose(reason, func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		if f.next != from {
			return 0
		}
		return l.missLocked(f, to)
	}())
	kick(l.stir)
}

// readFailed gives up the rest of a segment, except when the system lacks something at the moment.
func (l *Log) readFailed(f *folder, s segment, from uint64, err error) (more bool) {
	l.reader.close()
	l.reader = nil
	if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM) {
		l.say("reading", err)
		return false
	}
	l.mu.Lock()
	current := f.next == from
	l.mu.Unlock()
	if !current {
		return true // it had to go
	}
	if !errors.Is(err, fs.ErrNotExist) {
		l.say("reading", err)
	}
	l.giveUp(f, from, s.end, IO)
	return true
}
