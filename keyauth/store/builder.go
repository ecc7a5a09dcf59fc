package store

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"kong-go-plugins/keyauth/key"
)

// A Builder collects what a Snapshot will hold. Later calls win over earlier ones. It is used by one goroutine, and not
// after Snapshot.
type Builder struct {
	s     Snapshot
	lists map[string]uint32 // attributes by their text
	gone  map[uint32]bool   // removed owners
}

// NewBuilder returns a Builder for about this many keys.
func NewBuilder(keys int) *Builder {
	b := &Builder{lists: map[string]uint32{}, gone: map[uint32]bool{}}
	b.s.records = make([]record, places(keys))
	b.s.attributes = []attributes{{}} // number 0: nothing
	b.s.owners = []owner{{}}          // number 0: nobody
	return b
}

// Put adds the entry of a digest, or replaces the one there is. An entry whose consumer has an id belongs to the consumer that
// PutConsumer had or will have with this id; else to its ConsumerRef, which may be the id of such a consumer too.
func (b *Builder) Put(d key.Digest, e Entry) error {
	s := &b.s
	if len(e.ID) > maxText {
		return fmt.Errorf("id: %w", errTooLong)
	}
	if len(e.Hint) > maxHint {
		e.Hint = ""
	}
	owner, err := b.owner(e)
	if err != nil {
		return err
	}
	text, err := b.write(e.ID, e.Hint)
	if err != nil {
		return err
	}
	r := record{
		digest: d, expiresAt: e.ExpiresAt, createdAt: e.CreatedAt, owner: owner,
		text: text, idLen: uint16(len(e.ID)), hintLen: uint8(len(e.Hint)), attributes: b.attributes(e),
		flags: taken,
	}
	if e.Disabled {
		r.flags |= disabled
	}
	if s.used >= len(s.records)*3/4 {
		s.records = spread(s.records, places(2*s.used+8))
	}
	i, ok := place(s.records, &d)
	if !ok {
		s.used++
	} else if s.records[i].flags&removed != 0 {
		s.gone--
	}
	s.records[i] = r
	return nil
}

// places is how long a table of this many records is. With near to half of them free, a search ends after two on average.
func places(records int) int { return records + records*4/5 + 1 }

// spread returns the records in a table of size places.
func spread(records []record, size int) []record {
	to := make([]record, size)
	for i := range records {
		if r := &records[i]; r.flags&taken != 0 {
			at, _ := place(to, &r.digest)
			to[at] = *r
		}
	}
	return to
}

// Remove takes a key away.
func (b *Builder) Remove(d key.Digest) {
	if i, ok := place(b.s.records, &d); ok && b.s.records[i].flags&removed == 0 {
		b.s.records[i].flags |= removed
		b.s.gone++
	}
}

// PutConsumer adds a consumer or replaces the one of its id.
func (b *Builder) PutConsumer(c Consumer) error {
	if c.ID == "" {
		return errors.New("consumer: id: it is empty")
	}
	for _, f := range []struct{ name, value string }{{"id", c.ID}, {"username", c.Username}, {"custom_id", c.CustomID}} {
		if len(f.value) > maxText {
			return fmt.Errorf("consumer: %s: %w", f.name, errTooLong)
		}
	}
	i, err := b.reference(c.ID)
	if err != nil {
		return err
	}
	text, err := b.write(c.ID, c.Username, c.CustomID)
	if err != nil {
		return err
	}
	b.s.owners[i] = owner{
		createdAt: c.CreatedAt, updatedAt: c.UpdatedAt, text: text, tags: b.attributes(Entry{Tags: c.Tags}), idLen: uint16(len(c.ID)),
		nameLen: uint16(len(c.Username)), customIDLen: uint16(len(c.CustomID)), state: known,
	}
	return nil
}

// RemoveConsumer takes a consumer and its keys away.
func (b *Builder) RemoveConsumer(id string) {
	if i, ok := b.s.findOwner(id); ok {
		b.s.owners[i].state = ownerRemoved
		b.gone[i] = true
	}
}

// Snapshot returns what was collected.
func (b *Builder) Snapshot() *Snapshot {
	s := &b.s
	for i := range s.records {
		if r := &s.records[i]; r.flags&removed == 0 && b.gone[r.owner] {
			r.flags |= removed
			s.gone++
		}
	}
	if size := places(s.used); len(s.records) > size+size/8 {
		s.records = spread(s.records, size)
	}
	s.owners, s.text = clip(s.owners), clip(s.text)
	return s
}

func (b *Builder) owner(e Entry) (uint32, error) {
	if e.Consumer.ID == "" {
		return b.reference(e.ConsumerRef)
	}
	i, ok := b.s.findOwner(e.Consumer.ID)
	if ok && b.s.owners[i].state == known {
		return i, nil
	}
	if err := b.PutConsumer(e.Consumer); err != nil {
		return 0, err
	}
	return b.reference(e.Consumer.ID)
}

// reference returns the owner of this id or reference, a new one if there is none.
func (b *Builder) reference(id string) (uint32, error) {
	s := &b.s
	if id == "" {
		return 0, nil
	}
	if len(id) > maxText {
		return 0, fmt.Errorf("consumer: %w", errTooLong)
	}
	if i, ok := s.findOwner(id); ok {
		return i, nil
	}
	text, err := b.write(id)
	if err != nil {
		return 0, err
	}
	s.owners = append(s.owners, owner{text: text, idLen: uint16(len(id))})
	i := uint32(len(s.owners) - 1)
	s.byID.add(textHash(id), i, func(i uint32) uint64 { return textHash(s.slice(s.owners[i].text, s.owners[i].idLen)) })
	return i, nil
}

// write appends texts to the snapshot's and returns where they begin.
func (b *Builder) write(texts ...string) (uint32, error) {
	at := len(b.s.text)
	for _, t := range texts {
		b.s.text = append(b.s.text, t...)
	}
	if len(b.s.text) > math.MaxUint32 {
		return 0, errors.New("the store has more than 4 GiB of text")
	}
	return uint32(at), nil
}

// attributes returns the number of e's lists; equal lists have one number.
func (b *Builder) attributes(e Entry) uint32 {
	if e.NotBefore == 0 && len(e.Groups)+len(e.Scopes)+len(e.CIDRs)+len(e.Tags) == 0 {
		return 0
	}
	var name strings.Builder
	fmt.Fprintf(&name, "%d;", e.NotBefore)
	for _, list := range [][]string{e.Groups, e.Scopes, e.Tags} {
		for _, item := range list {
			fmt.Fprintf(&name, "%d:%s", len(item), item)
		}
		name.WriteByte(';')
	}
	for _, c := range e.CIDRs {
		name.WriteString(c.String() + ",")
	}
	n, ok := b.lists[name.String()]
	if !ok {
		n = uint32(len(b.s.attributes))
		b.s.attributes = append(b.s.attributes, attributes{
			notBefore: e.NotBefore,
			groups:    slices.Clone(e.Groups), scopes: slices.Clone(e.Scopes), tags: slices.Clone(e.Tags), cidrs: slices.Clone(e.CIDRs),
		})
		b.lists[name.String()] = n
	}
	return n
}
