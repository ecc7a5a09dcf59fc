package store

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// pollEvery is how often files are looked at. Polling sees what notifications miss: shared volumes, and the symbolic
// links by which Kubernetes replaces a mounted Secret.
const pollEvery = time.Second

// A watched file calls load at the start and whenever the file changes. load keeps what it had when it returns an error.
// settled says that the file looks as it did a look ago. Until then it may be a part of what somebody is writing: where that
// would take the place of something good, load returns errUnsettled and is called again at the next look.
type watched struct {
	path string
	load func(settled bool) error

	looking sync.Mutex

	status health
	seen   stamp // what the last load took, good or not; at first none
	loaded error // of the last load
	next   stamp // what the last look found and load did not take
	waited int   // looks since load took a file

	stop chan struct{}
	done chan struct{}
}

// errUnsettled says that the file was not read, because it may be half-written.
var errUnsettled = errors.New("the file is being written")

// maxUnsettled is how many looks a file may change at each of them before that is reported.
const maxUnsettled = 10

// A stamp changes with the file: its content, or which file it is.
type stamp struct {
	dev, ino    uint64
	size, mtime int64
	there       bool
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stamp{}, nil
	}
	if err != nil {
		return stamp{}, err
	}
	return stampOfInfo(info), nil
}

func stampOfInfo(info fs.FileInfo) stamp {
	s := stamp{there: true, size: info.Size(), mtime: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.dev, s.ino = uint64(sys.Dev), sys.Ino
	}
	return s
}

func newWatched(path string, log *slog.Logger) watched {
	return watched{path: path, seen: stamp{size: -1}, status: health{what: "the file " + path, log: log}}
}

// start loads the file once and follows it until close.
func (w *watched) start() {
	w.stop, w.done = make(chan struct{}), make(chan struct{})
	w.look(true)
	go func() {
		defer close(w.done)
		tick := time.NewTicker(pollEvery)
		defer tick.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-tick.C:
				w.look(false)
			}
		}
	}()
}

// close ends following and waits for it.
func (w *watched) close() {
	close(w.stop)
	<-w.done
}

// look loads the file if it is not what it was; now, or when it has settled. What is wrong with a file that does not change
// is found once.
func (w *watched) look(now bool) {
	w.looking.Lock()
	defer w.looking.Unlock()
	defer func() {
		if r := recover(); r != nil {
			w.status.set(fmt.Errorf("panic while the file was read: %v", r))
		}
	}()
	s, err := stampOf(w.path)
	if err != nil {
		w.status.set(err)
		return
	}
	if s == w.seen {
		w.next, w.waited = s, 0
		w.status.set(w.loaded)
		return
	}
	before := w.seen
	settled := now || s == w.next
	w.seen, w.next = s, s // before reading: a change during it is seen next time
	loaded := w.loaded
	w.loaded = errors.New("reading it did not end")
	err = w.load(settled)
	if errors.Is(err, errUnsettled) {
		w.seen, w.loaded = before, loaded
		if w.waited++; w.waited >= maxUnsettled {
			w.status.set(errors.New("it changes all the time and is not read meanwhile, because it may be half-written; put a whole file into its place by mv"))
		}
		return
	}
	w.loaded, w.waited = err, 0
	w.status.set(w.loaded)
	var system syscall.Errno
	if errors.As(err, &system) { // a right that is missing, a volume that is away: the file stays the same when that ends
		w.seen, w.loaded = before, loaded
	}
}

func (w *watched) health() error { return w.status.last() }
