package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A use is a line of the file of last uses. A line that cannot be read counts as not there: nothing depends on it.
//
//	{"id":"0a1b...","last_used_at":1767225600}
type use struct {
	ID         string `json:"id"` // the credential's
	LastUsedAt int64  `json:"last_used_at"`
}

const (
	keepUses   = 365 * 24 * time.Hour // so that credentials that are gone are forgotten in the end
	wrongClock = 24 * time.Hour       // what is so far ahead was noted by a wrong clock
	maxUseLine = 1 << 20              // bytes
)

// parseUse reads a line and reports whether it is one.
func parseUse(text []byte) (u use, ok bool) {
	err := json.Unmarshal(text, &u)
	return u, err == nil && u.ID != "" && u.LastUsedAt > 0 && u.LastUsedAt <= maxTime
}

// maxTime is the last second of the year 9999.
const maxTime = 253402300799

// eachUse calls f for each line that can be read. text is valid until f returns.
func eachUse(r io.Reader, f func(u use, text []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxUseLine)
	for lines.Scan() {
		if u, ok := parseUse(lines.Bytes()); ok {
			if err := f(u, lines.Bytes()); err != nil {
				return err
			}
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return fmt.Errorf("a line is longer than %d bytes; remove the file", maxUseLine)
	}
	return lines.Err()
}

// openUses opens the file, which need not exist.
func openUses(path string) (io.ReadCloser, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return io.NopCloser(strings.NewReader("")), nil
	}
	return f, err
}

// mergeLastUsed adds what was noted to the file.
func mergeLastUsed(ctx context.Context, path string, noted map[string]*int64, now time.Time) error {
	unlock, err := lockFile(ctx, path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	old, err := openUses(path)
	if err != nil {
		return err
	}
	defer old.Close()
	_, err = replaceFile(path, func(w *bufio.Writer) error { return mergeUses(w, old, noted, now) })
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// mergeUses writes the old lines and what was noted: the later time of a credential counts. It may raise what was noted.
func mergeUses(w *bufio.Writer, old io.Reader, noted map[string]*int64, now time.Time) error {
	oldest, latest := now.Add(-keepUses).Unix(), now.Add(wrongClock).Unix()
	err := eachUse(old, func(u use, text []byte) error {
		if u.LastUsedAt < oldest || u.LastUsedAt > latest {
			return nil
		}
		if at, ok := noted[u.ID]; ok {
			*at = max(*at, u.LastUsedAt)
			return nil
		}
		w.Write(text)
		return w.WriteByte('\n')
	})
	var line []byte
	for id, at := range noted {
		line, _ = jsontext.AppendQuote(append(line[:0], `{"id":`...), id) // what is not UTF-8 is replaced
		line = strconv.AppendInt(append(line, `,"last_used_at":`...), *at, 10)
		w.Write(append(line, "}\n"...))
	}
	return err // those of w come when it is flushed
}

// LastUses says when the keys of a keys file were last used, as plugins have noted beside it. It is safe for concurrent use.
type LastUses struct {
	path string

	mu   sync.Mutex
	seen stamp
	at   map[string]int64
}

// OpenLastUses returns the last uses of the keys of a keys file. It reads nothing yet.
func OpenLastUses(keysFile string) *LastUses { return &LastUses{path: LastUsedPath(keysFile)} }

// Of returns the Unix time at which the credential of this id was last used, or 0. That is a minute old at most. When the
// file cannot be read, the error comes once; then there are no times until the file is another one.
func (l *LastUses) Of(id string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, err := stampOf(l.path)
	if err != nil {
		return 0, err
	}
	if s == l.seen {
		return l.at[id], nil
	}
	l.seen, l.at = s, map[string]int64{}
	f, err := openUses(l.path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	err = eachUse(f, func(u use, _ []byte) error {
		l.at[u.ID] = max(l.at[u.ID], u.LastUsedAt)
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("%s: %w", l.path, err)
	}
	return l.at[id], nil
}
