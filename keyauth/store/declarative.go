package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync/atomic"

	"kong-go-plugins/keyauth/key"
)

// A Declarative follows a file in Kong's own declarative format. Keys in clear are hashed when they are read.
type Declarative struct {
	file   watched
	hasher *key.Hasher
	now    atomic.Pointer[Snapshot] // nil until the file could be read
	from   fs.FileInfo              // of what now has; nil until then
}

// maxDeclarative is the largest file that is read, in bytes: parsing takes ten times as much memory. More keys belong
// into a keys file.
const maxDeclarative = 64 << 20

// OpenDeclarative reads the file and follows it. When the file cannot be used, lookups fail until it can; once it could, what it said
// last stays.
func OpenDeclarative(path string, hasher *key.Hasher, log *slog.Logger) *Declarative {
	d := &Declarative{file: newWatched(path, log), hasher: hasher}
	d.file.load = d.load
	d.file.start()
	return d
}

// Lookup returns the entry of a digest.
func (d *Declarative) Lookup(ctx context.Context, digest key.Digest) (Entry, error) {
	s := d.now.Load()
	if s == nil {
		return Entry{}, fmt.Errorf("%s: %w", d.file.path, d.file.health())
	}
	return s.Lookup(ctx, digest)
}

// Refresh looks at the file now, and takes it even if somebody may be writing it.
func (d *Declarative) Refresh() { d.file.look(true) }

// Health returns why the file cannot be used, or which keys of it were left out.
func (d *Declarative) Health() error { return d.file.health() }

// Len is the number of keys.
func (d *Declarative) Len() int {
	if s := d.now.Load(); s != nil {
		return s.Len()
	}
	return 0
}

// Close ends following.
func (d *Declarative) Close() error {
	d.file.close()
	return nil
}

func (d *Declarative) load(settled bool) error {
	if !settled && d.now.Load() != nil {
		return errUnsettled
	}
	f, err := os.Open(d.file.path)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the file does not exist; create it, or remove it from the configuration")
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxDeclarative+1))
	if err != nil {
		return err
	}
	if len(text) > maxDeclarative {
		return fmt.Errorf("the file has more than %d MiB; keyauth keys import turns it into a keys file, which may be larger", maxDeclarative>>20)
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// YAML that was cut off may be right, with fewer keys. JSON is not, and a file that was put into place whole is another one.
	whole := bytes.HasSuffix(text, []byte{'\n'}) || bytes.HasSuffix(bytes.TrimRight(text, " \t\r"), []byte{'}'})
	if d.from != nil && os.SameFile(info, d.from) && !whole {
		return errors.New("its last line has no end, as if it were half-written; end it with a line break, or put a whole file into its place by mv")
	}
	consumers, credentials, refused, err := ParseDeclarative(text, d.hasher)
	if err != nil {
		return err
	}
	b := NewBuilder(len(credentials))
	for _, c := range consumers {
		if err := b.PutConsumer(c); err != nil {
			return err
		}
	}
	for _, c := range credentials {
		if err := b.Put(c.Hash.Digest, c.Entry); err != nil {
			return err
		}
	}
	d.now.Store(b.Snapshot())
	d.from = info
	return refused
}
