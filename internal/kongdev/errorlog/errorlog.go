// Package errorlog is Kong's error log.
package errorlog

import (
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// Kong's log levels, most severe first.
const (
	Alert = iota
	Crit
	Err
	Warn
	Notice
	Info
	Debug
)

var levelNames = []string{"alert", "crit", "error", "warn", "notice", "info", "debug"} // read-only

// Log is Kong's error log: one line per call, in nginx's form. It is safe
// for concurrent use; a nil writer drops everything.
type Log struct {
	Level int        // what is less severe is not written
	Hook  func(Line) // may be nil; gets what is less severe than Level too, less the debug lines. Set it before the first line
	mu    sync.Mutex
	w     io.Writer
}

// A Line is one line of Kong's error log.
type Line struct {
	Time  time.Time
	Level string // nginx's names
	Text  string // without time and level; a plugin's own output begins with "[name:pid] "
}

// New makes a log that leaves out what is less severe than level, one
// of nginx's names; "" is info.
func New(w io.Writer, level string) (*Log, error) {
	if level == "" {
		level = "info"
	}
	i := slices.Index(levelNames, level)
	if i < 0 {
		return nil, fmt.Errorf("log level: %q is not one of %q", level, levelNames)
	}
	return &Log{Level: i, w: w}, nil
}

// Printf writes a line of a level.
func (l *Log) Printf(level int, format string, args ...any) {
	now := time.Now()
	if l.Hook != nil && level < Debug {
		l.Hook(Line{now, levelNames[level], fmt.Sprintf(format, args...)})
	}
	if l.w == nil || level > l.Level {
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
