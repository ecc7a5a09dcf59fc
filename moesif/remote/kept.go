package remote

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A kept document is one file: a line of JSON with its versions and checksum, then the document as it came. The file is
// replaced as a whole, so two processes that overlap do not disturb one another; its time of change is when the
// collector last confirmed it.

var errDamaged = errors.New("the file is damaged")

// keptHeader is the first line of a file.
type keptHeader struct {
	Format int    `json:"format"`
	SHA256 string `json:"sha256"`
	ETag   string `json:"etag,omitempty"`
	Tag    string `json:"tag,omitempty"`
}

const (
	keptFormat     = 1
	maxHeaderLine  = 4 << 10
	keptFolderMode = 0o700     // a file has 0600, as os.CreateTemp makes it
	leftoverAfter  = time.Hour // a temporary file that is older belongs to nobody
)

// keptPath returns where a document is kept. The name tells applications apart and does not tell which they are.
func (s *Source) keptPath(d *document) string {
	sum := sha256.Sum256([]byte(s.options.Endpoint + "\x00" + s.options.ApplicationID))
	return filepath.Join(s.options.KeepIn, "remote-"+hex.EncodeToString(sum[:8])+"."+d.name)
}

// load puts a kept document in force.
func (s *Source) load(d *document) {
	if s.options.KeepIn == "" {
		return
	}
	path := s.keptPath(d)
	s.removeLeftovers(path)
	header, body, confirmed, err := readKept(path, d.limit)
	if os.IsNotExist(err) {
		return
	}
	f := fetched{etag: header.ETag, tag: header.Tag}
	if err == nil {
		s.take(d, body, &f)
		err = f.err
	}
	if err != nil {
		s.options.Report("remote kept", fmt.Sprintf("%s kept on disk: %v; it is fetched anew", d.name, plain(err)))
		return
	}
	tags := 0
	if d == &s.rules {
		tags = 1
	} else {
		s.confirmed.Store(confirmed.UnixNano())
	}
	s.mu.Lock()
	s.tags[tags].have(f.tag)
	s.mu.Unlock()
}

// readKept returns a file's parts if it is whole.
func readKept(path string, limit int64) (h keptHeader, body []byte, confirmed time.Time, err error) {
	file, err := os.Open(path)
	if err != nil {
		return h, nil, confirmed, err
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return h, nil, confirmed, err
	}
	content, err := io.ReadAll(io.LimitReader(file, limit+maxHeaderLine))
	if err != nil {
		return h, nil, confirmed, err
	}
	h, body, err = splitKept(content)
	return h, body, info.ModTime(), err
}

// splitKept reads what joinKept wrote.
func splitKept(content []byte) (h keptHeader, body []byte, err error) {
	line, body, _ := bytes.Cut(content, []byte("\n"))
	if json.Unmarshal(line, &h) != nil || h.Format != keptFormat {
		return keptHeader{}, nil, errDamaged
	}
	sum := sha256.Sum256(body)
	if h.SHA256 != hex.EncodeToString(sum[:]) {
		return keptHeader{}, nil, errDamaged
	}
	return h, body, nil
}

func joinKept(f fetched) []byte {
	sum := sha256.Sum256(f.body)
	line, _ := json.Marshal(keptHeader{Format: keptFormat, SHA256: hex.EncodeToString(sum[:]), ETag: f.etag, Tag: f.tag})
	return append(append(line, '\n'), f.body...)
}

// keep writes a document to disk. A failure costs no more than what a restart during an outage would have known.
func (s *Source) keep(d *document, f fetched) {
	if s.options.KeepIn == "" {
		return
	}
	if err := replaceFile(s.keptPath(d), joinKept(f)); err != nil {
		s.options.Report("remote keep", fmt.Sprintf("folder %s: %s cannot be kept: %v; after a restart it has to be fetched first",
			s.options.KeepIn, d.name, plain(err)))
	}
}

// isKept reports whether a document is on disk, if it should be: the disk may have been full when it came, or somebody may
// have cleaned up there.
func (s *Source) isKept(d *document) bool {
	if s.options.KeepIn == "" {
		return true
	}
	_, err := os.Stat(s.keptPath(d))
	return err == nil
}

func replaceFile(path string, content []byte) (err error) {
	folder, name := filepath.Split(path)
	if err := os.MkdirAll(folder, keptFolderMode); err != nil {
		return err
	}
	file, err := os.CreateTemp(folder, name+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	return err
}

// keptConfirmed notes that the collector still has the version on disk.
func (s *Source) keptConfirmed(d *document) {
	if s.options.KeepIn == "" {
		return
	}
	now := time.Now()
	_ = os.Chtimes(s.keptPath(d), now, now) // only the age after a restart depends on it
}

// removeLeftovers removes the temporary files of processes that were killed while they wrote.
func (s *Source) removeLeftovers(path string) {
	leftovers, _ := filepath.Glob(path + ".*.tmp")
	for _, name := range leftovers {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > leftoverAfter {
			_ = os.Remove(name)
		}
	}
}

// plain returns an error without the file's path.
func plain(err error) error {
	if e, ok := errors.AsType[*os.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
