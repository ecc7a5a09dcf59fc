// Package spool keeps events on disk until the collector has them, so that a crash, a restart or an outage loses next to
// nothing. A Log is append-only: Append hands an event over, Read gives back those that the caller does not hold in
// memory, in order, and Done says which are delivered.
//
// Each application has a folder, whose name does not show the application's id. In it each process has a folder of its own
// that it holds by flock; what a process leaves behind is adopted by another one: at its start, or within a second. An
// event is handed to the system within milliseconds, so that the end of the process does not lose it, and forced to disk
// every 100 ms, for the end of the machine. A restart may repeat the last events; the collector tells them by their
// transaction id.
//
// Nothing on disk can stop a Log: damaged, foreign, missing and unwritable files cost the events in them, which are
// counted, and are said; without a disk, Append refuses and the caller goes on in memory.
package spool

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"
)

// Why events are lost, or are not taken.
const (
	Full    = "spool_full"    // Options.MaxBytes is reached
	Aged    = "spool_age"     // older than Options.MaxAge
	Corrupt = "spool_corrupt" // damaged on disk
	IO      = "spool_io"      // the disk fails, is too slow, or somebody has removed the files
)

const (
	commitAfter  = 4 * time.Millisecond   // from the first event of a group to its write
	syncAfter    = 100 * time.Millisecond // from the first write to the fsync
	pollEvery    = time.Second            // look for folders of ended processes, and for our own
	retryEvery   = time.Second            // after a failed write
	openPatience = 2 * time.Second        // how long Read waits for a disk that does not answer at the start
	maxTail      = 8 << 20                // bytes that wait for their write at most
	writeBytes   = 1 << 20                // in one write, about
	readBytes    = 256 << 10              // in one read, about
	maxUnsynced  = 64                     // segments that are full and wait for their fsync
)

// Options of a Log. The functions may be called by several goroutines at a time, and must not call the Log.
type Options struct {
	MaxBytes   int64         // on disk, all folders that the log holds together
	MaxAge     time.Duration // of an event; 0: any
	DropNewest bool          // when full, Append refuses; else the oldest segments go

	Lost    func(reason string, events int) // events that will never be read
	Adopted func(events int)                // events of an ended process
	Report  func(cause, text string)        // what an operator should act on; may repeat
	Ready   func()                          // there may be something to Read

	disk disk // for tests; the zero value is the real one
}

// disk is what can fail in more ways than a test can provoke.
type disk struct {
	write func(f *os.File, b []byte) (int, error)
	sync  func(f *os.File) error
}

// An Event is one that was read back.
type Event struct {
	Data []byte
	At   time.Time // when it entered
	ID   ID
}

// An ID names an event of a Log. The zero value names none.
type ID struct {
	folder *folder
	number uint64
}

// Folder returns the folder of an application below dir. Its name does not tell the application id.
func Folder(dir, endpoint, applicationID string) string {
	sum := sha256.Sum256([]byte("moesif spool\x00" + endpoint + "\x00" + applicationID))
	return filepath.Join(dir, hex.EncodeToString(sum[:16]))
}
