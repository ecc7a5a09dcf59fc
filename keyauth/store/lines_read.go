package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// A position is how far a keys file has been read: always to the end of a line.
type position struct {
	offset int64
	lines  int
	head   []byte // how the file begins, and
	last   []byte // what stands before offset, to see whether it is still the same file
	rest   int64  // bytes of a line behind offset that had no end yet
}

const checked = 128 // bytes of head and last, at most

// chunkSize is how much of a file one goroutine parses at a time.
const chunkSize = 1 << 20

// readLines applies the lines of f that follow p and returns where they end. A last line without its end is left for
// later: it is still being written, or its writer was killed, and then nobody was told that it is stored.
func readLines(f *os.File, p position, apply func(*line) error) (position, error) {
	if !unchanged(f, p) {
		return p, errors.New("the part that was read before has changed")
	}
	type parsed struct {
		lines []line
		err   error
	}
	type chunk struct {
		data  []byte
		first int
		done  chan parsed
	}
	chunks := make(chan chunk, runtime.GOMAXPROCS(0))
	end := p
	var readErr error
	go func() {
		defer close(chunks)
		defer func() {
			if r := recover(); r != nil {
				readErr = fmt.Errorf("panic: %v", r)
			}
		}()
		buf := make([]byte, 0, chunkSize)
		for {
			if len(buf) == cap(buf) {
				buf = append(make([]byte, 0, 2*cap(buf)), buf...)
			}
			n, err := f.ReadAt(buf[len(buf):cap(buf)], end.offset+int64(len(buf)))
			buf = buf[:len(buf)+n]
			whole := bytes.LastIndexByte(buf, '\n') + 1
			if whole > 0 && (len(buf) == cap(buf) || err != nil) {
				c := chunk{data: buf[:whole], first: end.lines + 1, done: make(chan parsed, 1)}
				end.offset += int64(whole)
				end.lines += bytes.Count(c.data, []byte{'\n'})
				end.last = bytes.Clone(c.data[max(0, whole-checked):])
				if c.first == 1 {
					end.head = bytes.Clone(c.data[:min(whole, checked)])
				}
				chunks <- c
				go func() {
					defer func() {
						if r := recover(); r != nil {
							c.done <- parsed{err: fmt.Errorf("panic: %v", r)}
						}
					}()
					lines, err := parseLines(c.data, c.first)
					c.done <- parsed{lines, err}
				}()
				buf = append(make([]byte, 0, chunkSize), buf[whole:]...)
			}
			if err != nil {
				if err != io.EOF {
					readErr = err
				}
				end.rest = int64(len(buf))
				return
			}
		}
	}()
	var err error
	least := 0              // lines that the file must have
	for c := range chunks { // to the end, also after an error: the goroutines are waited for
		got := <-c.done
		if err == nil {
			err = got.err
		}
		if err == nil && c.first == 1 && len(got.lines) > 0 {
			least = 1 + got.lines[0].Lines
		}
		for i := 0; err == nil && i < len(got.lines); i++ {
			if applyErr := apply(&got.lines[i]); applyErr != nil {
				err = &lineError{Line: c.first + i, Err: applyErr}
			}
		}
	}
	if err == nil {
		err = readErr
	}
	if err == nil && end.lines > 0 && end.lines < least {
		err = fmt.Errorf("the file has %d lines and was written with %d: it is half a copy; put a whole one in its place", end.lines, least)
	}
	if err == nil && end.lines == 0 {
		err = errors.New("line 1: the header is missing; remove the empty file, or put a copy of the right one in its place")
	}
	return end, err
}

// unchanged reports whether what stands before p is still there.
func unchanged(f *os.File, p position) bool {
	return standsAt(f, p.head, 0) && standsAt(f, p.last, p.offset-int64(len(p.last)))
}

func standsAt(f *os.File, want []byte, at int64) bool {
	got := make([]byte, len(want))
	_, err := f.ReadAt(got, at)
	return (err == nil || len(want) == 0) && bytes.Equal(got, want)
}
