package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// keep is the goroutine that does what need not happen at once: it forces to disk what is written, saves the position,
// removes what is delivered or too old, and adopts the folders of processes that have ended.
func (l *Log) keep() {
	defer l.guard()
	select {
	case <-l.opened:
	case <-l.closing:
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	pause := time.NewTimer(time.Hour)
	defer pause.Stop()
	for {
		select {
		case <-l.closing:
			l.writing.Wait()
			l.tidy()
			l.leave()
			return
		case <-poll.C:
			l.look()
			l.age()
			l.adopt()
		case <-l.stir:
			pause.Reset(syncAfter)
			select {
			case <-pause.C:
			case <-l.closing:
				continue
			}
			l.tidy()
		}
	}
}

// tidy brings the disk to where the memory is.
func (l *Log) tidy() {
	l.sync()
	l.mu.Lock()
	type position struct {
		folder *folder
		path   string
		slot   int64
		low    uint64
	}
	var save []position
	var gone []string
	var emptied []*folder
	kept := l.adopted[:0:0]
	for _, f := range append(l.adopted[:len(l.adopted):len(l.adopted)], l.own) {
		for len(f.segments) > 0 && f.segments[0].end <= f.done.low && !(f == l.own && len(f.segments) == 1 && l.current != nil) {
			_, path := l.dropSegmentLocked(f, 0)
			gone = append(gone, path)
		}
		switch {
		case f != l.own && f.done.low >= f.end:
			emptied = append(emptied, f)
			continue
		case f.done.low > f.saved && f.lock != nil:
			save = append(save, position{f, filepath.Join(f.path, positionName), f.slot, f.done.low})
			f.saved = f.done.low
			f.slot = 1 - f.slot
		}
		if f != l.own {
			kept = append(kept, f)
		}
	}
	l.adopted = kept
	l.mu.Unlock()
	for _, p := range save {
		// Without it a restart sends events again; the collector knows them.
		if savePosition(p.path, p.slot, p.low) != nil {
			l.mu.Lock()
			p.folder.saved = 0 // with the next ones
			l.mu.Unlock()
		}
	}
	for _, path := range gone {
		_ = os.Remove(path)
	}
	for _, f := range emptied {
		f.remove()
	}
}

// sync forces to disk what is written.
func (l *Log) sync() {
	l.mu.Lock()
	full, current := l.full, l.current
	l.full = nil
	if !l.dirty {
		current = nil
	}
	l.dirty = false
	var folders []string
	if l.entries {
		folders = []string{l.own.path, l.dir}
	}
	l.entries = false
	l.mu.Unlock()
	for _, path := range folders {
		if f, err := os.Open(path); err == nil {
			l.syncFile(f)
			_ = f.Close()
		}
	}
	for _, f := range full {
		l.syncFile(f)
		_ = f.Close()
	}
	if current != nil && !l.syncFile(current) {
		l.mu.Lock()
		l.rotate = true // what was not forced to disk may be lost there: write no more behind it
		l.mu.Unlock()
	}
}

func (l *Log) syncFile(f *os.File) (ok bool) {
	err := l.o.disk.sync(f)
	if errors.Is(err, os.ErrClosed) {
		return true // it had to go meanwhile
	}
	if err != nil {
		l.say("what was written may not survive the end of the machine", err)
	}
	return err == nil
}

// look finds out whether our folder is still there, and those that were adopted.
func (l *Log) look() {
	l.lookAtAdopted()
	l.mu.Lock()
	lock, path := l.own.lock, l.own.path
	l.mu.Unlock()
	if lock == nil {
		kick(l.wake) // the writer tries to open again
		return
	}
	held, err := lock.Stat()
	if err != nil {
		return
	}
	now, err := os.Stat(filepath.Join(path, lockName))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !os.SameFile(held, now) {
		l.mu.Lock()
		l.gone = true
		l.mu.Unlock()
		l.say("was removed while it was in use", fs.ErrNotExist)
		kick(l.wake)
	}
}

// lookAtAdopted gives up the segments of adopted folders that somebody has removed.
func (l *Log) lookAtAdopted() {
	l.mu.Lock()
	adopted := slices.Clone(l.adopted)
	l.mu.Unlock()
	lost := 0
	for _, f := range adopted {
		for {
			l.mu.Lock()
			segments := f.segments
			l.mu.Unlock()
			if len(segments) == 0 {
				break
			}
			first := segments[0].path
			if _, err := os.Stat(first); !errors.Is(err, fs.ErrNotExist) {
				break
			}
			l.mu.Lock()
			if len(f.segments) > 0 && f.segments[0].path == first {
				n, _ := l.dropSegmentLocked(f, 0)
				lost += n
			}
			l.mu.Unlock()
		}
	}
	if lost > 0 {
		l.lose(IO, lost)
		kick(l.stir)
	}
}

// age removes the segments whose events are all too old.
func (l *Log) age() {
	lost := 0
	var gone []string
	l.mu.Lock()
	if l.o.MaxAge <= 0 {
		l.mu.Unlock()
		return
	}
	oldest := time.Now().Add(-l.o.MaxAge)
	for _, f := range append(l.adopted[:len(l.adopted):len(l.adopted)], l.own) {
		for len(f.segments) > 0 && f.segments[0].newest.Before(oldest) && !(f == l.own && len(f.segments) == 1) {
			n, path := l.dropSegmentLocked(f, 0)
			lost += n
			gone = append(gone, path)
		}
	}
	l.mu.Unlock()
	for _, path := range gone {
		_ = os.Remove(path)
	}
	if len(gone) > 0 {
		l.lose(Aged, lost)
		kick(l.stir)
	}
}

// adopt takes over the folders of processes that have ended.
func (l *Log) adopt() {
	paths, err := adoptable(l.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.say("looking for what other processes left", err)
	}
	for _, path := range paths {
		l.mu.Lock()
		skip := path == l.own.path || l.useless[path]
		for _, f := range l.adopted {
			skip = skip || f.path == path
		}
		l.mu.Unlock()
		if skip {
			continue
		}
		later := false // somebody may mend it
		unreadable := func(err error) {
			later = later || !errors.Is(err, errVersion)
			l.say("some of what another process left cannot be read", err)
		}
		lock, err := lockFolder(path)
		if err != nil {
			unreadable(err)
		}
		if lock == nil {
			continue
		}
		f, lost := load(path, lock, unreadable)
		l.lose(Corrupt, lost)
		if f.next == f.end {
			f.remove()
			if _, err := os.Lstat(path); err == nil {
				l.useless[path] = !later // it holds what is not ours
			}
			continue
		}
		l.mu.Lock()
		l.adopted = append(l.adopted, f)
		events := int(f.end-f.next) - lost
		l.unread += int(f.end - f.next)
		l.bytes += f.bytes()
		l.mu.Unlock()
		l.o.Adopted(events)
		l.o.Ready()
	}
}

// leave ends the hold on all folders. Those without events go.
func (l *Log) leave() {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unreadAtEnd, l.unread = l.unread, 0
	l.reader.close()
	l.reader = nil
	if l.current != nil {
		_ = l.current.Close()
		l.current = nil
	}
	for _, f := range l.adopted {
		f.release()
	}
	if l.own.undone() == 0 {
		l.own.remove()
	}
	l.own.release()
}
