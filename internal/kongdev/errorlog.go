package kongdev

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Kong's log levels, most severe first.
const (
	levelAlert = iota
	levelCrit
	levelErr
	levelWarn
	levelNotice
	levelInfo
	levelDebug
)

var levelNames = []string{"alert", "crit", "error", "warn", "notice", "info", "debug"} // read-only

// errorLog is Kong's error log: one line per call, in nginx's form. It is safe
// for concurrent use; a nil writer drops everything.
type errorLog struct {
	level int
	hook  func(LogLine) // may be nil; gets what is less severe than level too
	mu    sync.Mutex
	w     io.Writer
}

// A LogLine is one line of Kong's error log.
type LogLine struct {
	Time  time.Time
	Level string // nginx's names
	Text  string // without time and level; a plugin's own output begins with "[name:pid] "
}

// newErrorLog makes a log that leaves out what is less severe than level, one
// of nginx's names; "" is info.
func newErrorLog(w io.Writer, level string) (*errorLog, error) {
	if level == "" {
		level = "info"
	}
	i := slices.Index(levelNames, level)
	if i < 0 {
		return nil, fmt.Errorf("log level: %q is not one of %q", level, levelNames)
	}
	return &errorLog{level: i, w: w}, nil
}

func (l *errorLog) printf(level int, format string, args ...any) {
	now := time.Now()
	if l.hook != nil && level < levelDebug {
		l.hook(LogLine{now, levelNames[level], fmt.Sprintf(format, args...)})
	}
	if l.w == nil || level > l.level {
		return
	}
	line := now.AppendFormat(nil, "2006/01/02 15:04:05")
	line = fmt.Appendf(line, " [%s] ", levelNames[level])
	line = fmt.Appendf(line, format, args...)
	if line[len(line)-1] != '\n' {
		line = append(line, '\n')
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.w.Write(line)
}
