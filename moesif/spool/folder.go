package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	folderPrefix = "process-" // a folder of a process: this, its time of birth, something random
	youngPrefix  = ".new-"    // one that is not locked yet
	lockName     = "lock"
	positionName = "done"
)

// A folder is one process's: our own, or one adopted. Its events are numbered from 1. The fields below lock are guarded by
// the Log's mutex.
type folder struct {
	path string
	lock *os.File // held by flock; nil: there is nothing on disk

	segments []segment // the oldest first
	next     uint64    // the first event that was not handed out
	end      uint64    // one past the last event
	done     ranges
	saved    uint64 // the position on disk
	slot     int64  // of the position that is written next
	foreign  bool   // another version's segments are in it, which stay
}

// createFolder makes a folder of our own in dir and locks it before anybody can see it.
func createFolder(dir string) (path string, lock *os.File, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, err
	}
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	name := fmt.Sprintf("%020d-%s", time.Now().UnixNano(), hex.EncodeToString(random))
	young := filepath.Join(dir, youngPrefix+name)
	if err := os.Mkdir(young, 0o700); err != nil {
		return "", nil, err
	}
	lock, err = os.OpenFile(filepath.Join(young, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = flock(lock)
	}
	path = filepath.Join(dir, folderPrefix+name)
	if err == nil {
		err = os.Rename(young, path)
	}
	if err != nil {
		if lock != nil {
			_ = lock.Close()
		}
		_ = os.RemoveAll(young)
		return "", nil, err
	}
	return path, lock, nil
}

func flock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// lockFolder locks the folder of a process that has ended. The lock is nil when the process has not, when another one was
// quicker, or when the folder is gone, and with an error.
func lockFolder(path string) (lock *os.File, err error) {
	name := filepath.Join(path, lockName)
	lock, err = os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600) // a folder from a backup may have lost its lock
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if err = flock(lock); err == nil {
		held, err1 := lock.Stat()
		now, err2 := os.Stat(name) // another process may have adopted, emptied and removed it since
		if err1 == nil && err2 == nil && os.SameFile(held, now) {
			return lock, nil
		}
	}
	_ = lock.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = nil
	}
	return nil, err
}

// adoptable lists the folders in dir that are not ours, the oldest first, and clears away what processes left that ended
// while they made one.
func adoptable(dir string) (paths []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		switch {
		case !e.IsDir():
		case strings.HasPrefix(e.Name(), folderPrefix):
			paths = append(paths, path)
		case strings.HasPrefix(e.Name(), youngPrefix):
			if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > time.Minute {
				_ = os.RemoveAll(path)
			}
		}
	}
	return paths, err
}

// maxNumber is far above what a process can count to: what names a higher one is not ours.
const maxNumber = 1 << 48

// load reads what a locked folder holds, and says how many events a missing segment has cost. What it cannot use it leaves
// alone and reports.
func load(path string, lock *os.File, report func(error)) (f *folder, lost int) {
	f = &folder{path: path, lock: lock, end: 1}
	entries, err := os.ReadDir(path)
	if err != nil {
		f.foreign = true // who knows what is in it
		report(err)
	}
	low := loadPosition(filepath.Join(path, positionName))
	for _, e := range entries {
		first, ok := segmentFirst(e.Name())
		info, err := e.Info()
		if !ok || err != nil || !info.Mode().IsRegular() || first == 0 || first > maxNumber {
			continue
		}
		s := segment{path: filepath.Join(path, e.Name()), first: first, bytes: info.Size(), newest: info.ModTime()}
		if i := len(f.segments) - 1; i >= 0 && first <= mostEvents(f.segments[i].first, f.segments[i].bytes) {
			f.segments[i].end = first // it is next to it
		}
		f.segments = append(f.segments, s)
	}
	kept := f.segments[:0]
	for _, s := range f.segments {
		r, err := openSegment(s.path, s.first)
		if err != nil {
			f.foreign = true
			report(err)
			continue
		}
		r.close()
		if s.end == 0 {
			s.end, err = measure(s.path, s.first, s.bytes)
			if err != nil {
				f.foreign = true
				report(err)
				continue
			}
		}
		if s.end <= max(low, s.first) {
			_ = os.Remove(s.path)
			continue
		}
		kept = append(kept, s)
	}
	f.segments = kept
	if len(kept) > 0 {
		f.next, f.end = max(low, kept[0].first), kept[len(kept)-1].end
	} else {
		f.next = f.end
	}
	f.done.settle(0, f.next)
	f.saved = f.next
	for i := 1; i < len(kept); i++ {
		if from, to := kept[i-1].end, kept[i].first; from < to {
			lost += int(to - from)
			f.done.settle(from, to)
		}
	}
	return f, lost
}

// bytes is what the folder's segments take on disk.
func (f *folder) bytes() (n int64) {
	for _, s := range f.segments {
		n += s.bytes
	}
	return n
}

// undone is how many of the folder's events are not delivered.
func (f *folder) undone() int { return int(f.end-f.done.low) - f.done.above() }

// remove deletes the folder. Files of others in it keep it alive.
func (f *folder) remove() {
	if f.lock == nil || f.foreign {
		f.release()
		return
	}
	for _, s := range f.segments {
		_ = os.Remove(s.path)
	}
	_ = os.Remove(filepath.Join(f.path, positionName))
	_ = os.Remove(filepath.Join(f.path, lockName))
	_ = os.Remove(f.path)
	f.release()
}

// release lets another process have the folder, at once: a process that is being started at this moment holds a copy of the
// descriptor, and with it the lock, for a little longer.
func (f *folder) release() {
	if f.lock != nil {
		_ = syscall.Flock(int(f.lock.Fd()), syscall.LOCK_UN)
		_ = f.lock.Close()
		f.lock = nil
	}
}

// A position is a number and its CRC-32C, in two slots that are written in turn: one of them is whole at any moment.
const positionSize = 12

// loadPosition returns the first number that may not be delivered yet, 0 when nothing can be read.
func loadPosition(path string) (low uint64) {
	b, _ := os.ReadFile(path)
	for ; len(b) >= positionSize; b = b[positionSize:] {
		number := binary.LittleEndian.Uint64(b)
		if crc32.Checksum(b[:8], castagnoli) == binary.LittleEndian.Uint32(b[8:]) {
			low = max(low, number)
		}
	}
	return low
}

func savePosition(path string, slot int64, low uint64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b := binary.LittleEndian.AppendUint64(nil, low)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	_, err = f.WriteAt(b, slot*positionSize)
	return errors.Join(err, f.Close())
}
