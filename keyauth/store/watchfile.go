package store

import (
	"errors"
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

// reportEvery is how often one lasting problem is logged.
const reportEvery = time.Minute

// A watched file calls load at the start and whenever the file changes. load keeps what it had when it returns an error.
type watched struct {
	path string
	load func() error
	log  *slog.Logger

	looking sync.Mutex

	mu     sync.Mutex
	err    error // of the last load
	seen   stamp // what the last load found, good or not
	logged time.Time
	text   string // of the error that was logged

	stop chan struct{}
	done chan struct{}
}

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

// look loads the file if it is not what it was. What is wrong with a file that does not change is found once.
func (w *watched) look(first bool) {
	w.looking.Lock()
	defer w.looking.Unlock()
	defer func() {
		if r := recover(); r != nil {
			w.failed(errors.New("panic while the file was read"))
			w.log.Error("keyauth: panic while a file was read", "file", w.path, "panic", r)
		}
	}()
	s, err := stampOf(w.path)
	if err == nil && (first || s != w.lastSeen()) {
		w.mu.Lock()
		w.seen = s // before reading: a change during it is seen next time
		w.mu.Unlock()
		err = w.load()
	} else if err == nil {
		err = w.health()
	}
	w.failed(err)
}

func (w *watched) lastSeen() stamp {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen
}

func (w *watched) health() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// failed keeps err, and logs it when it is new or lasts.
func (w *watched) failed(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	recovered := w.err != nil && err == nil
	w.err = err
	switch {
	case recovered:
		w.text = ""
		w.log.Info("keyauth: the file is good again", "file", w.path)
	case err != nil && (err.Error() != w.text || time.Since(w.logged) >= reportEvery):
		w.text, w.logged = err.Error(), time.Now()
		w.log.Error("keyauth: something is wrong with a file; where it cannot be used, what it said before stays", "file", w.path, "error", w.text)
	}
}
