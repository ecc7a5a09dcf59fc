package spool

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A segment is one file of a folder, with the events from first to before end.
type segment struct {
	path       string
	first, end uint64
	bytes      int64     // of whole records, and the magic
	newest     time.Time // of its last event
}

const segmentSuffix = ".seg"

func segmentName(first uint64) string {
	digits := strconv.FormatUint(first, 10)
	return strings.Repeat("0", 20-len(digits)) + digits + segmentSuffix
}

// segmentFirst reads a segment's name.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, segmentSuffix)
	if !ok || len(digits) != 20 {
		return 0, false
	}
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, err == nil && segmentName(first) == name
}

// A segmentReader reads the records of a segment in order.
type segmentReader struct {
	file   *os.File
	path   string
	offset int64
	next   uint64 // number of the record at offset, or less
	torn   bool   // there was damage behind the last whole record
	ready  []record
}

var errVersion = errors.New("written by another version")

// openSegment opens a segment and reads its first line. A damaged one is skipped as any other damage.
func openSegment(path string, first uint64) (*segmentReader, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &segmentReader{file: file, path: path, next: first}
	line := make([]byte, len(magic))
	n, err := file.ReadAt(line, 0)
	switch {
	case err != nil && err != io.EOF:
		_ = file.Close()
		return nil, err
	case string(line[:n]) == magic:
		r.offset = int64(n)
	case strings.HasPrefix(string(line[:n]), magicAny):
		_ = file.Close()
		return nil, errVersion
	}
	return r, nil
}

func (r *segmentReader) close() {
	if r != nil {
		_ = r.file.Close()
	}
}

// read returns the next records below end, about readBytes of them, up to the offset limit; atEnd says that there are no
// more. Damaged ones are left out: their numbers are missing.
func (r *segmentReader) read(limit int64, end uint64) (records []record, atEnd bool, err error) {
	records, r.ready = r.ready, nil
	size := readBytes
	for len(records) == 0 && r.offset < limit {
		b := make([]byte, min(int64(size), limit-r.offset))
		n, err := r.file.ReadAt(b, r.offset)
		if err != nil && err != io.EOF {
			return nil, false, err
		}
		if n < len(b) {
			limit = r.offset + int64(n) // somebody has cut it off
		}
		b = b[:n]
		size = readBytes
		for len(b) > 0 {
			rec, n, err := parse(b)
			sane := err == errHeader || rec.number >= r.next && rec.number < end
			switch {
			case err == errShort && n == headerSize || err == errShort && sane:
				if r.offset+int64(n) <= limit { // read on from here
					size, b = max(n, readBytes), nil
					continue
				}
				if n > headerSize { // perhaps only its length is wrong
					n = 1 + resync(b[1:])
				} else {
					n = len(b)
				}
				r.torn = true
			case err == errHeader || !sane:
				n = 1 + resync(b[1:])
				r.torn = true
			case err == errEvent:
				r.next, r.torn = rec.number, true
			default:
				records = append(records, rec)
				r.next, r.torn = rec.number+1, false
			}
			r.offset += int64(n)
			b = b[n:]
		}
	}
	return records, r.offset >= limit, nil
}

// back puts records back that read has returned last.
func (r *segmentReader) back(records []record) { r.ready = records }

// seen returns the number below which read returns no more records.
func (r *segmentReader) seen() uint64 {
	if len(r.ready) > 0 {
		return r.ready[0].number
	}
	return r.next
}

// passed reports whether read is beyond the number.
func (r *segmentReader) passed(number uint64) bool { return r.seen() > number }

// measure finds the end of a segment of which only the first number is known: it reads all of it. What is not whole at
// its end counts as one event.
func measure(path string, first uint64, size int64) (end uint64, err error) {
	r, err := openSegment(path, first)
	if err != nil {
		return 0, err
	}
	defer r.close()
	for atEnd := false; !atEnd; {
		if _, atEnd, err = r.read(size, mostEvents(first, size)); err != nil {
			return 0, err
		}
	}
	end = r.next
	if r.torn {
		end++
	}
	return end, nil
}

// mostEvents bounds the end of a segment of size bytes: what claims more is not ours. Bytes may be missing.
func mostEvents(first uint64, size int64) uint64 { return first + uint64(size)/headerSize + 1<<16 }

// Each calls f with every event in the segments at path or below it that is not delivered, and leaves them there. It stops
// at the first error of f. What is damaged is left out; lost is the number of such events as far as it is known. Segments
// that a running process removes meanwhile, because they are delivered, are passed over.
func Each(path string, f func(event []byte, at time.Time) error) (lost int, err error) {
	err = filepath.WalkDir(path, func(p string, d os.DirEntry, err error) error {
		if p != path && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		first, ok := segmentFirst(d.Name())
		if !ok || !d.Type().IsRegular() {
			return nil
		}
		n, err := eachOf(p, first, f)
		lost += n
		return err
	})
	return lost, err
}

func eachOf(path string, first uint64, f func(event []byte, at time.Time) error) (lost int, err error) {
	r, err := openSegment(path, first)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer r.close()
	info, err := r.file.Stat()
	if err != nil {
		return 0, err
	}
	low := loadPosition(filepath.Join(filepath.Dir(path), positionName))
	expect := first
	for atEnd := false; !atEnd; {
		var records []record
		if records, atEnd, err = r.read(info.Size(), mostEvents(first, info.Size())); err != nil {
			return lost, err
		}
		for _, rec := range records {
			if rec.number >= low {
				lost += int(rec.number - max(expect, low))
				if err := f(rec.event, rec.at); err != nil {
					return lost, err
				}
			}
			expect = rec.number + 1
		}
	}
	return lost, nil
}
