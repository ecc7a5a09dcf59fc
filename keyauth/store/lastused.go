package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// A LastUsed keeps when credentials were last used: in memory at first, and every minute in a file, where several processes
// add up theirs. What was noted since the last minute is lost when the process is killed. Safe for concurrent use.
type LastUsed struct {
	path    string
	log     *slog.Logger
	failing bool // of the goroutine that writes

	mu    sync.Mutex
	noted map[string]*int64 // Unix times by credential's id, since the file was last written

	stop context.CancelFunc
	done chan struct{}
}

const (
	writeEvery = time.Minute
	lastWrite  = 3 * time.Second // that Close may take; the plugin has 5 s to end
)

// LastUsedPath is the file beside a keys file that says when its keys were last used.
func LastUsedPath(keysFile string) string { return keysFile + ".last-used" }

// OpenLastUsed keeps times in the file of this path, whose folder is made when there is something to write. Where it cannot be
// written, that is logged once, and nothing else comes of it.
func OpenLastUsed(path string, log *slog.Logger) *LastUsed {
	l := &LastUsed{path: path, log: log, noted: map[string]*int64{}, done: make(chan struct{})}
	var ctx context.Context
	ctx, l.stop = context.WithCancel(context.Background())
	go func() {
		defer close(l.done)
		l.follow(ctx)
	}()
	return l
}

// Note says that the credential of this id was used at a time. It never waits for the file.
func (l *LastUsed) Note(id string, at int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if last := l.noted[id]; last != nil {
		*last = max(*last, at)
		return
	}
	first := at
	l.noted[strings.Clone(id)] = &first // id may be a part of a text of many megabytes
}

// Close writes what is left, and waits for it.
func (l *LastUsed) Close() {
	l.stop()
	<-l.done
}

func (l *LastUsed) follow(ctx context.Context) {
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.write(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.Background(), lastWrite)
			defer cancel()
			l.write(last)
			return
		}
	}
}

// write empties the memory into the file, or keeps it for the next time.
func (l *LastUsed) write(ctx context.Context) {
	l.mu.Lock()
	noted := l.noted
	l.noted = map[string]*int64{}
	l.mu.Unlock()
	if len(noted) == 0 {
		return
	}
	err := l.merge(ctx, noted)
	if err == nil {
		l.failing = false
		return
	}
	for id, at := range noted {
		l.Note(id, *at)
	}
	if !l.failing && ctx.Err() == nil {
		l.failing = true
		l.log.Warn("keyauth: when keys were last used cannot be written; requests are not concerned. "+
			"Let Kong's user write to the folder of the file", "error", err)
	}
}

func (l *LastUsed) merge(ctx context.Context, noted map[string]*int64) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	return mergeLastUsed(ctx, l.path, noted, time.Now())
}
