package spool

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// A Log is the events of one application on disk. Safe for concurrent use.
type Log struct {
	dir string
	o   Options

	started time.Time
	wake    chan struct{} // for the writer: there is a tail
	stir    chan struct{} // for the keeper: something is to be forced to disk, saved or removed
	closing chan struct{}
	opened  chan struct{} // closed when the first attempt to open has ended
	writing sync.WaitGroup
	keeping sync.WaitGroup
	reading sync.Mutex // held for the length of a Read
	reader  *segmentReader
	buffer  []byte          // of the writer
	useless map[string]bool // folders of others' files; of the writer until opened is closed, then of the keeper

	mu          sync.Mutex
	own         *folder
	adopted     []*folder // the oldest first; before our own in every order
	tail        []entry   // the last events of own, which are not written
	bytes       int64     // on disk
	waiting     int64     // in the tail
	unread      int       // events that Read will return
	unreadAtEnd int       // the same when the log was closed
	failing     bool      // the disk takes nothing; Append refuses
	gone        bool      // somebody has removed our folder
	rotate      bool      // begin a new segment
	closed      bool
	current     *os.File   // the segment that is written; nil: none
	dirty       bool       // current has bytes that may not be on disk
	full        []*os.File // segments before it that may not be on disk
	entries     bool       // there is a new file, whose name may not be on disk
}

type entry struct {
	event []byte
	at    time.Time
}

// Open returns the log of an application, whose folder is dir. It does not wait for the disk: what goes wrong is reported
// and tried again. Close ends it.
func Open(dir string, o Options) *Log {
	if o.disk.write == nil {
		o.disk.write = func(f *os.File, b []byte) (int, error) { return f.Write(b) }
	}
	if o.disk.sync == nil {
		o.disk.sync = func(f *os.File) error { return f.Sync() }
	}
	l := &Log{
		dir: dir, o: o, started: time.Now(),
		wake: make(chan struct{}, 1), stir: make(chan struct{}, 1), closing: make(chan struct{}), opened: make(chan struct{}),
		useless: map[string]bool{},
		own:     &folder{next: 1, end: 1, done: ranges{low: 1}},
	}
	l.writing.Go(l.write)
	l.keeping.Go(l.keep)
	return l
}

// Configure changes the bounds: MaxBytes, MaxAge and DropNewest.
func (l *Log) Configure(o Options) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.o.MaxBytes, l.o.MaxAge, l.o.DropNewest = o.MaxBytes, o.MaxAge, o.DropNewest
}

// Append takes an event that enters now. With hold, the caller offers to keep it in memory: if held is true it must, and
// Read will not return it; it is false as long as Read has older ones. A refusal says why the event was not taken. The event
// must not be changed afterwards.
func (l *Log) Append(event []byte, at time.Time, hold bool) (id ID, held bool, refusal string) {
	size := int64(recordSize(event))
	l.mu.Lock()
	defer l.mu.Unlock()
	// Two segments that follow one another hold more than fits into one.
	heads := (3 + 2*(l.waiting+size)/int64(l.segmentBytes())) * int64(len(magic))
	switch room := l.o.MaxBytes - size - heads; {
	case l.closed || l.failing || l.waiting+size > maxTail:
		return ID{}, false, IO
	case room < 0 || l.o.DropNewest && l.bytes+l.waiting > room:
		return ID{}, false, Full
	}
	id = ID{l.own, l.own.end}
	l.own.end++
	if held = hold && l.unread == 0 && l.readyLocked(); held {
		l.own.next = l.own.end
	} else {
		l.unread++
	}
	if l.tail = append(l.tail, entry{event, at}); len(l.tail) == 1 {
		kick(l.wake)
	}
	l.waiting += size
	return id, held, ""
}

// readyLocked reports whether Read may begin: folders of ended processes, which come first, are known, or the disk does not
// answer.
func (l *Log) readyLocked() bool {
	return l.Opened() || time.Since(l.started) > openPatience
}

// Opened reports whether the disk has answered, so that what ended processes have left is known.
func (l *Log) Opened() bool {
	select {
	case <-l.opened:
		return true
	default:
		return false
	}
}

// Unread returns how many events Read has to return.
func (l *Log) Unread() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.unread
}

// Size returns how many events the log has that are not Done, and the bytes it takes on disk, or will in a moment.
func (l *Log) Size() (events int, bytes int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range l.adopted {
		events += f.undone()
	}
	return events + l.own.undone(), l.bytes + l.waiting
}

// Done says that the caller needs these events no more. Events of the zero ID are passed over.
func (l *Log) Done(ids []ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; i < len(ids); {
		f, from := ids[i].folder, ids[i].number
		to := from
		for ; i < len(ids) && ids[i] == (ID{f, to}); i++ {
			to++
		}
		if f != nil {
			f.done.settle(from, to)
		}
	}
	kick(l.stir)
}

// Close writes and forces to disk what it has and gives the folders free, or gives up when ctx ends. It returns how many
// events are left on disk for another process, and how many of them the caller held.
func (l *Log) Close(ctx context.Context) (left, held int) {
	l.mu.Lock()
	first := !l.closed
	if first {
		l.closed = true
		close(l.closing)
	}
	l.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.writing.Wait()
		l.keeping.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	l.mu.Lock()
	unread := l.unread + l.unreadAtEnd
	lost := 0
	for i := range l.tail { // the disk has failed
		switch number := l.own.end - uint64(len(l.tail)-i); {
		case l.own.done.has(number):
		case number >= l.own.next:
			lost++
			fallthrough
		default:
			left--
		}
	}
	for _, f := range l.adopted {
		left += f.undone()
	}
	left += l.own.undone()
	l.mu.Unlock()
	if first {
		l.lose(IO, lost)
	}
	return left, max(left-(unread-lost), 0)
}

// kick wakes a goroutine that may be busy.
func kick(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// say reports what an operator can mend.
func (l *Log) say(what string, err error) {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // the folder says enough
	}
	remedy := "see that the folder exists and belongs to the user that Kong runs as"
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		remedy = "make room there, or lower spool_max_bytes"
	case errors.Is(err, syscall.EIO):
		remedy = "check the disk"
	case errors.Is(err, syscall.EROFS):
		remedy = "set spool_dir to a folder that can be written"
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		remedy = "allow more open files"
	case errors.Is(err, errVersion):
		remedy = "run that version once more, or remove the files"
	}
	l.o.Report("spool", fmt.Sprintf("spool %s: %s: %v: %s", l.dir, what, err, remedy))
}

// lose counts events. It must not be called with the mutex held.
func (l *Log) lose(reason string, events int) {
	if events > 0 {
		l.o.Lost(reason, events)
	}
}

// guard keeps a defect here from ending the process: the log stops taking events.
func (l *Log) guard() {
	if p := recover(); p != nil {
		l.o.Report("panic", fmt.Sprintf("spool %s: %v\n%s", l.dir, p, debug.Stack()))
		l.mu.Lock()
		defer l.mu.Unlock()
		l.failing = true
	}
}
