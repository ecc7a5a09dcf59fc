package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"

	"kong-go-plugins/keyauth/key"
)

// A Journal follows a keys file, which a JournalAdmin writes, perhaps in another process. A new file is read whole into a Snapshot,
// once it has settled; what is appended later is read at once and kept beside it, until it is so much that reading the file
// again is cheaper.
type Journal struct {
	file watched
	now  atomic.Pointer[view] // nil until the file could be read

	// of whoever looks at the file
	hasher  *key.Hasher
	at      position
	from    stamp
	foreign map[key.Digest]foreignKey // with peppers that hasher does not know
	told    bool                      // what is wrong with where the file is
}

// A foreignKey is one that no request can find.
type foreignKey struct{ pepper, consumer string }

// A view is a snapshot with the changes since. It is immutable.
type view struct {
	base      *Snapshot
	keys      map[key.Digest]*Entry // nil: the key is gone
	consumers map[string]*Consumer  // nil: the consumer is gone
}

// OpenJournal reads the file and follows it. A file that does not exist holds no keys. When the file cannot be used, lookups fail
// until it can; once it could, what it said last stays. Keys that were hashed with a pepper which hasher does not know are reported.
func OpenJournal(path string, hasher *key.Hasher, log *slog.Logger) *Journal {
	j := &Journal{file: newWatched(path, log), hasher: hasher}
	j.file.load = j.load
	j.file.start()
	return j
}

// Lookup returns the entry of a digest.
func (j *Journal) Lookup(ctx context.Context, d key.Digest) (Entry, error) {
	v := j.now.Load()
	if v == nil {
		return Entry{}, fmt.Errorf("%s: %w", j.file.path, j.file.health())
	}
	return v.lookup(ctx, d)
}

// Refresh looks at the file now, so that a change of one's own is seen at once.
func (j *Journal) Refresh() { j.file.look(true) }

// Health returns why the file cannot be used, or which keys of it cannot.
func (j *Journal) Health() error { return j.file.health() }

// Len is the number of keys; those changed since the file was read whole count once more.
func (j *Journal) Len() int {
	v := j.now.Load()
	if v == nil {
		return 0
	}
	return v.base.Len() + len(v.keys)
}

// Close ends following.
func (j *Journal) Close() error {
	j.file.close()
	return nil
}

func (v *view) lookup(ctx context.Context, d key.Digest) (Entry, error) {
	if len(v.keys) > 0 {
		if e, ok := v.keys[d]; ok && e == nil {
			return Entry{}, ErrNotFound
		} else if ok {
			return *e, nil
		}
	}
	return v.base.Lookup(ctx, d)
}

func (j *Journal) load(settled bool) error {
	if err := j.read(settled); err != nil || len(j.foreign) == 0 {
		return err
	}
	peppers := map[string]bool{}
	for _, k := range j.foreign {
		peppers[k.pepper] = true
	}
	return fmt.Errorf("%d keys cannot be found, because their hashes were made with a pepper that is not configured (its id: %s); add it to previous_peppers, or remove the keys",
		len(j.foreign), strings.Join(slices.Sorted(maps.Keys(peppers)), ", "))
}

// note keeps track of keys that cannot be found.
func (j *Journal) note(l *line) {
	switch {
	case l.Key != nil:
		if l.Key.Replaces != nil {
			delete(j.foreign, l.Key.Replaces.Digest)
		}
		if !j.hasher.Knows(l.Key.Hash) {
			j.foreign[l.Key.Hash.Digest] = foreignKey{l.Key.Hash.Pepper, l.Key.Consumer}
		}
	case l.DeleteKey != nil:
		delete(j.foreign, l.DeleteKey.Hash.Digest)
	case l.DeleteConsumer != nil:
		maps.DeleteFunc(j.foreign, func(_ key.Digest, k foreignKey) bool { return k.consumer == l.DeleteConsumer.ID })
	}
}

func (j *Journal) read(settled bool) error {
	f, err := os.Open(j.file.path)
	if errors.Is(err, fs.ErrNotExist) {
		if v := j.now.Load(); v != nil && v.base.Len()+len(v.keys) > 0 {
			return errors.New("the file is gone; put it back, or restart to begin without keys")
		}
		j.now.Store(&view{base: NewBuilder(0).Snapshot()})
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	s := stampOfInfo(info)
	if v := j.now.Load(); v != nil && j.at.lines > 0 && s.ino == j.from.ino && s.dev == j.from.dev && s.size > j.at.offset {
		if ok := j.readTail(f, v, s.size); ok {
			return nil
		}
	}
	if !settled && j.Len() > 0 && j.file.waited < maxJournalWait {
		return errUnsettled
	}
	return j.readWhole(f, s)
}

// maxJournalWait is how many looks a file that is not the one known, and grows at each of them, is waited for: as long as a
// copy may take, and not forever, because admins may never pause.
const maxJournalWait = 5

// bytesPerKey is what a line is about long.
const bytesPerKey = 220

func (j *Journal) readWhole(f *os.File, s stamp) error {
	b := NewBuilder(int(s.size / bytesPerKey))
	before := j.foreign
	j.foreign = map[key.Digest]foreignKey{}
	at, err := readLines(f, position{}, func(l *line) error {
		j.note(l)
		return b.apply(l)
	})
	if err == nil && at.rest > 0 && at.offset+at.rest < j.at.offset && headerOf(at.head) == headerOf(j.at.head) {
		err = errors.New("the file is shorter than it was, and its last line is not whole: it is half a copy; put a whole one in its place")
	}
	if err != nil {
		j.foreign = before
		return err
	}
	j.at, j.from = at, s
	j.now.Store(&view{base: b.Snapshot()})
	if !j.told {
		j.told = true
		for _, text := range Warnings(j.file.path) {
			j.file.status.log.Warn("keyauth: " + text)
		}
	}
	return nil
}

// headerOf is the header in the first bytes of a file, which is another one each time that the file is written anew.
func headerOf(head []byte) string {
	header, _, _ := bytes.Cut(head, []byte{'\n'})
	return string(header)
}

// apply follows one line of a keys file.
func (b *Builder) apply(l *line) error {
	switch {
	case l.Key != nil:
		if l.Key.Replaces != nil {
			b.Remove(l.Key.Replaces.Digest)
		}
		return b.Put(l.Key.Hash.Digest, l.Key.entry())
	case l.DeleteKey != nil:
		b.Remove(l.DeleteKey.Hash.Digest)
	case l.Consumer != nil:
		return b.PutConsumer(*l.Consumer)
	case l.DeleteConsumer != nil:
		b.RemoveConsumer(l.DeleteConsumer.ID)
	}
	return nil
}

// Limits of what is kept beside a snapshot: changed keys, and changes of consumers in one reading, each of which is a
// search through all keys.
const (
	maxChangedKeys      = 20_000
	maxChangedConsumers = 100
)

var errTooMuch = errors.New("too many changes to keep beside the snapshot")

// readTail reads what was appended and reports whether that was enough.
func (j *Journal) readTail(f *os.File, old *view, size int64) bool {
	if size-j.at.offset > maxChangedKeys*bytesPerKey {
		return false
	}
	next := &view{base: old.base, keys: cloneMap(old.keys), consumers: cloneMap(old.consumers)}
	changed := 0
	at, err := readLines(f, j.at, func(l *line) error {
		if l.Consumer != nil || l.DeleteConsumer != nil {
			changed++
		}
		if changed > maxChangedConsumers || len(next.keys) > maxChangedKeys {
			return errTooMuch
		}
		j.note(l)
		next.apply(l)
		return nil
	})
	if err != nil {
		return false // the whole file has the answer, or the better error
	}
	j.at = at
	j.now.Store(next)
	return true
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	if m == nil {
		return map[K]V{}
	}
	return maps.Clone(m)
}

// apply follows one line, on a view that nobody else has yet.
func (v *view) apply(l *line) {
	switch {
	case l.Key != nil:
		e := l.Key.entry()
		if c := v.consumer(e.ConsumerRef); c != nil {
			e.Consumer, e.ConsumerRef = *c, ""
		}
		if l.Key.Replaces != nil {
			v.keys[l.Key.Replaces.Digest] = nil
		}
		v.keys[l.Key.Hash.Digest] = &e
	case l.DeleteKey != nil:
		v.keys[l.DeleteKey.Hash.Digest] = nil
	case l.Consumer != nil:
		c := *l.Consumer
		for d, e := range v.keysOf(c.ID) {
			changed := *e
			changed.Consumer, changed.ConsumerRef = c, ""
			v.keys[d] = &changed
		}
		v.consumers[c.ID] = &c
	case l.DeleteConsumer != nil:
		for d := range v.keysOf(l.DeleteConsumer.ID) {
			v.keys[d] = nil
		}
		v.consumers[l.DeleteConsumer.ID] = nil
	}
}

// consumer returns the consumer with this id, or nil.
func (v *view) consumer(id string) *Consumer {
	if c, ok := v.consumers[id]; ok {
		return c
	}
	if i, ok := v.base.findOwner(id); ok && v.base.owners[i].state == known {
		var c Consumer
		v.base.consumer(&v.base.owners[i], &c)
		return &c
	}
	return nil
}

// keysOf returns all keys of the consumer.
func (v *view) keysOf(id string) map[key.Digest]*Entry {
	found := map[key.Digest]*Entry{}
	if owner, ok := v.base.findOwner(id); ok {
		for i := range v.base.records {
			r := &v.base.records[i]
			if r.flags&taken == 0 || r.owner != owner {
				continue
			}
			if e := new(Entry); v.base.read(r, e) {
				found[r.digest] = e
			}
		}
	}
	for d, e := range v.keys {
		switch {
		case e == nil:
			delete(found, d)
		case e.Consumer.ID == id || e.ConsumerRef == id:
			found[d] = e
		default:
			delete(found, d)
		}
	}
	return found
}
