package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"kong-go-plugins/keyauth/key"
)

// A JournalAdmin changes a keys file. Several of them, in one process or many, may do so at once: each change is made under
// a lock, on what the file says then. It is appended and on the disk when the call returns; now and then the
// file is written anew, without what was replaced, and renamed over the old one.
type JournalAdmin struct {
	path string

	mu    sync.Mutex
	table *journalTable
	at    position
	from  stamp
}

var _ Admin = (*JournalAdmin)(nil)

// OpenJournalAdmin reads the file, which need not exist.
func OpenJournalAdmin(path string) (*JournalAdmin, error) {
	a := &JournalAdmin{path: withoutLinks(path)}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a, a.refreshLocked()
}

// Close does nothing: what was accepted is on the disk.
func (a *JournalAdmin) Close() error { return nil }

// refreshLocked reads what others wrote.
func (a *JournalAdmin) refreshLocked() error {
	f, err := os.Open(a.path)
	if errors.Is(err, fs.ErrNotExist) {
		a.table, a.at, a.from = newJournalTable(), position{}, stamp{}
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
	if a.table != nil && s == a.from {
		return nil
	}
	if a.table != nil && s.ino == a.from.ino && s.dev == a.from.dev && s.size > a.at.offset {
		if at, err := readLines(f, a.at, a.table.apply); err == nil {
			a.at, a.from = at, s
			return nil
		}
	}
	a.table = nil // until it is whole
	table := newJournalTable()
	at, err := readLines(f, position{}, table.apply)
	if err != nil {
		return fmt.Errorf("%s: %w", a.path, err)
	}
	a.table, a.at, a.from = table, at, s
	return nil
}

// read runs f on what the file says now.
func (a *JournalAdmin) read(f func(*journalTable) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refreshLocked(); err != nil {
		return err
	}
	return f(a.table)
}

// write appends the lines that f returns. Nobody else writes meanwhile.
func (a *JournalAdmin) write(ctx context.Context, f func(*journalTable) ([]line, error)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	unlock, err := lockFile(ctx, a.path+".lock")
	if err != nil {
		return err
	}
	defer unlock()
	if err := a.refreshLocked(); err != nil {
		return err
	}
	lines, err := f(a.table)
	if err != nil || len(lines) == 0 {
		return err
	}
	if a.at.lines == 0 {
		if err := a.rewriteLocked(); err != nil {
			return err
		}
	}
	if err := a.appendLocked(lines); err != nil {
		a.table, a.from = nil, stamp{} // read it all again
		return err
	}
	if live := a.table.keys.Len() + a.table.consumers.Len(); a.at.lines > 2*live+compactAfter {
		_ = a.rewriteLocked() // the change is stored; the next one tries again
	}
	return nil
}

// compactAfter is how many lines may have been replaced before the file is written anew, besides as many as are valid.
const compactAfter = 1000

func (a *JournalAdmin) appendLocked(lines []line) (err error) {
	var text []byte
	for _, l := range lines {
		text = appendLine(text, l)
	}
	f, err := os.OpenFile(a.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// What stands behind the last whole line was left by a writer that was killed: nobody was told that it is stored.
	if err := f.Truncate(a.at.offset); err != nil {
		return err
	}
	_, err = f.WriteAt(text, a.at.offset)
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return errors.Join(fmt.Errorf("nothing was stored: %w", err), f.Truncate(a.at.offset))
	}
	at, err := readLines(f, a.at, a.table.apply)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	a.at, a.from = at, stampOfInfo(info)
	return nil
}

// rewriteLocked writes the table as a new file and puts it in the place of the old one.
func (a *JournalAdmin) rewriteLocked() error {
	at := position{lines: 1}
	info, err := replaceFile(a.path, func(w *bufio.Writer) (err error) {
		put := func(l line) bool {
			text := appendLine(nil, l)
			at.offset += int64(len(text))
			at.last = text[max(0, len(text)-checked):]
			_, err = w.Write(text)
			return err == nil
		}
		put(newHeader(a.table.consumers.Len() + a.table.keys.Len()))
		at.head = at.last
		a.table.consumers.Scan(func(_ string, c *Consumer) bool { at.lines++; return put(line{Consumer: c}) })
		a.table.keys.Scan(func(_ string, c *Credential) bool { at.lines++; return put(line{Key: newKeyLine(*c)}) })
		return err
	})
	if info != nil {
		a.at, a.from = at, stampOfInfo(info)
	}
	return err
}

// Credentials lists by id.
func (a *JournalAdmin) Credentials(_ context.Context, q CredentialQuery) (page []Credential, next string, err error) {
	err = a.read(func(t *journalTable) (err error) {
		page, next, err = t.listCredentials(q)
		return err
	})
	return page, next, err
}

// Credential finds by id.
func (a *JournalAdmin) Credential(_ context.Context, id string) (c Credential, err error) {
	err = a.read(func(t *journalTable) error { return found(&c)(t.credential(id)) })
	return c, err
}

// CredentialByDigest finds by the key's digest.
func (a *JournalAdmin) CredentialByDigest(_ context.Context, d key.Digest) (c Credential, err error) {
	err = a.read(func(t *journalTable) error { return found(&c)(t.credential(t.byDigest[d])) })
	return c, err
}

// found returns a function that keeps what was found.
func found[T any](to *T) func(T, bool) error {
	return func(got T, ok bool) error {
		*to = got
		if !ok {
			return ErrNotFound
		}
		return nil
	}
}

// CreateCredential stores a new one.
func (a *JournalAdmin) CreateCredential(ctx context.Context, c Credential) error {
	if err := checkID("key", c.ID, c.Hash); err != nil {
		return err
	}
	return a.write(ctx, func(t *journalTable) ([]line, error) {
		return []line{t.newKey(c)}, t.checkCredential(c, "")
	})
}

// UpdateCredential changes one.
func (a *JournalAdmin) UpdateCredential(ctx context.Context, id string, change func(*Credential) error) (c Credential, err error) {
	err = a.write(ctx, func(t *journalTable) ([]line, error) {
		if err := found(&c)(t.credential(id)); err != nil {
			return nil, err
		}
		if err := change(&c); err != nil {
			return nil, err
		}
		c.ID = id
		if err := errors.Join(checkID("key", c.ID, c.Hash), t.checkCredential(c, id)); err != nil {
			return nil, err
		}
		if owner, ok := t.consumers.Get(c.Consumer.ID); ok {
			c.Consumer = *owner
		}
		return []line{t.newKey(c)}, nil
	})
	return c, err
}

// DeleteCredential removes one.
func (a *JournalAdmin) DeleteCredential(ctx context.Context, id string) error {
	return a.write(ctx, func(t *journalTable) ([]line, error) {
		c, ok := t.keys.Get(id)
		if !ok {
			return nil, ErrNotFound
		}
		return []line{{DeleteKey: &deleteKey{ID: id, Hash: c.Hash}}}, nil
	})
}

// DeleteExpired removes what expired before this time, in one write.
func (a *JournalAdmin) DeleteExpired(ctx context.Context, before int64) (gone []Credential, err error) {
	err = a.write(ctx, func(t *journalTable) (lines []line, err error) {
		t.keys.Scan(func(id string, c *Credential) bool {
			if c.ExpiresAt != 0 && c.ExpiresAt < before {
				gone = append(gone, *c)
				lines = append(lines, line{DeleteKey: &deleteKey{ID: id, Hash: c.Hash}})
			}
			return true
		})
		return lines, nil
	})
	if err != nil {
		return nil, err
	}
	return gone, nil
}

// Consumers lists by id.
func (a *JournalAdmin) Consumers(_ context.Context, q ConsumerQuery) (page []Consumer, next string, err error) {
	err = a.read(func(t *journalTable) (err error) {
		page, next, err = t.listConsumers(q)
		return err
	})
	return page, next, err
}

// Consumer finds by id, then by username.
func (a *JournalAdmin) Consumer(_ context.Context, idOrUsername string) (Consumer, error) {
	return a.consumer(func(t *journalTable) string {
		if _, ok := t.consumers.Get(idOrUsername); ok {
			return idOrUsername
		}
		return t.byName[idOrUsername]
	})
}

// ConsumerByCustomID finds by custom id.
func (a *JournalAdmin) ConsumerByCustomID(_ context.Context, customID string) (Consumer, error) {
	return a.consumer(func(t *journalTable) string { return t.byCustomID[customID] })
}

func (a *JournalAdmin) consumer(id func(*journalTable) string) (c Consumer, err error) {
	err = a.read(func(t *journalTable) error {
		p, ok := t.consumers.Get(id(t))
		if !ok {
			return ErrNotFound
		}
		c = *p
		return nil
	})
	return c, err
}

// CreateConsumer stores a new one.
func (a *JournalAdmin) CreateConsumer(ctx context.Context, c Consumer) error {
	if c.ID == "" {
		return errors.New("consumer.id: it is missing")
	}
	return a.write(ctx, func(t *journalTable) ([]line, error) { return []line{{Consumer: &c}}, t.checkConsumer(c, "") })
}

// UpdateConsumer changes one; its keys have the change at once.
func (a *JournalAdmin) UpdateConsumer(ctx context.Context, id string, change func(*Consumer) error) (c Consumer, err error) {
	err = a.write(ctx, func(t *journalTable) ([]line, error) {
		old, ok := t.consumers.Get(id)
		if !ok {
			return nil, ErrNotFound
		}
		c = *old
		if err := change(&c); err != nil {
			return nil, err
		}
		c.ID = id
		return []line{{Consumer: &c}}, t.checkConsumer(c, id)
	})
	return c, err
}

// DeleteConsumer removes one and its keys.
func (a *JournalAdmin) DeleteConsumer(ctx context.Context, id string) error {
	return a.write(ctx, func(t *journalTable) ([]line, error) {
		if _, ok := t.consumers.Get(id); !ok {
			return nil, ErrNotFound
		}
		return []line{{DeleteConsumer: &deleteByName{ID: id}}}, nil
	})
}

// Import stores everything given, in the place of what has the same ids. A key that exists under another id, or
// with another pepper, moves to the new one.
func (a *JournalAdmin) Import(ctx context.Context, consumers []Consumer, credentials []Credential) error {
	return a.write(ctx, func(t *journalTable) (lines []line, err error) {
		trial := newJournalTable() // finds conflicts among what is given
		for _, c := range consumers {
			if c.ID == "" {
				return nil, errors.New("consumer.id: it is missing")
			}
			if err := errors.Join(t.checkConsumer(c, c.ID), trial.checkConsumer(c, c.ID)); err != nil {
				return nil, err
			}
			lines = append(lines, line{Consumer: &c})
			if err := trial.apply(&lines[len(lines)-1]); err != nil {
				return nil, err
			}
		}
		for _, c := range credentials {
			if err := checkID("key", c.ID, c.Hash); err != nil {
				return nil, err
			}
			if _, ok := trial.consumers.Get(c.Consumer.ID); !ok && c.Consumer.ID != "" {
				if _, ok := t.consumers.Get(c.Consumer.ID); !ok {
					return nil, &ReferenceError{ConsumerID: c.Consumer.ID}
				}
			}
			if err := trial.checkCredential(Credential{Entry: Entry{ID: c.ID}, Hash: c.Hash}, ""); err != nil {
				return nil, err
			}
			lines = append(lines, t.newKey(c))
			for _, d := range c.Also { // behind the new one, so that no reader misses both
				if old, ok := t.keys.Get(t.byDigest[d]); ok && old.ID != c.ID && !trial.has(old.ID) {
					lines = append(lines, line{DeleteKey: &deleteKey{ID: old.ID, Hash: old.Hash}})
				}
			}
			if err := trial.put(newKeyLine(c)); err != nil {
				return nil, err
			}
		}
		return lines, nil
	})
}
