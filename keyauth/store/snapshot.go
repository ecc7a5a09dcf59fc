package store

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"net/netip"
	"unsafe"

	"kong-go-plugins/keyauth/key"
)

// A Snapshot is an immutable index of entries in memory, made by a Builder. It is laid out for a million keys: two
// tables of numbers, records without pointers, and one text, so that the garbage collector has nothing to follow.
type Snapshot struct {
	records    []record
	byDigest   table
	owners     []owner
	byID       table // owners by id
	attributes []attributes
	text       []byte
	gone       int // records that a later line replaced or removed
}

// A record is one key.
type record struct {
	digest     key.Digest
	expiresAt  int64
	notBefore  int64
	createdAt  int64
	text       uint32 // where id and hint stand in the text
	owner      uint32
	attributes uint32
	idLen      uint16
	hintLen    uint8
	flags      uint8
}

const (
	disabled = 1 << iota
	removed
)

// An owner is a consumer, or only a reference to one.
type owner struct {
	createdAt   int64
	updatedAt   int64
	text        uint32 // where id (or reference), username and custom id stand
	tags        uint32 // in attributes
	idLen       uint16
	nameLen     uint16
	customIDLen uint16
	state       ownerState
}

type ownerState uint8

const (
	referred     ownerState = iota // known by reference only
	known                          // all of it is known
	ownerRemoved                   // and its keys with it
)

// attributes are lists that many keys have in common.
type attributes struct {
	groups, scopes, tags []string
	cidrs                []netip.Prefix
}

// Limits of the layout; Put refuses what does not fit.
const (
	maxText = math.MaxUint16 // of an id, a username, a custom id
	maxHint = math.MaxUint8
)

var errTooLong = errors.New("is longer than 65535 bytes")

// Len is the number of keys.
func (s *Snapshot) Len() int { return len(s.records) - s.gone }

// Lookup returns the entry of a digest.
func (s *Snapshot) Lookup(_ context.Context, d key.Digest) (*Entry, error) {
	i, ok := s.find(d)
	if !ok {
		return nil, ErrNotFound
	}
	return s.entry(i)
}

// Close does nothing.
func (s *Snapshot) Close() error { return nil }

func (s *Snapshot) find(d key.Digest) (int, bool) {
	for i := range s.byDigest.candidates(digestHash(d)) {
		if s.records[i].digest.Equal(d) {
			return int(i), true
		}
	}
	return 0, false
}

// entry makes the entry of record i; its texts are parts of the snapshot's.
func (s *Snapshot) entry(i int) (*Entry, error) {
	r := &s.records[i]
	o := &s.owners[r.owner]
	if r.flags&removed != 0 || o.state == ownerRemoved {
		return nil, ErrNotFound
	}
	e := &Entry{
		ID: s.slice(r.text, r.idLen), Hint: s.slice(r.text+uint32(r.idLen), uint16(r.hintLen)),
		ExpiresAt: r.expiresAt, NotBefore: r.notBefore, CreatedAt: r.createdAt, Disabled: r.flags&disabled != 0,
	}
	if r.attributes != 0 {
		a := &s.attributes[r.attributes]
		e.Groups, e.Scopes, e.Tags, e.CIDRs = a.groups, a.scopes, a.tags, a.cidrs
	}
	if o.state == referred {
		e.ConsumerRef = s.slice(o.text, o.idLen)
		return e, nil
	}
	s.consumer(o, &e.Consumer)
	return e, nil
}

func (s *Snapshot) consumer(o *owner, c *Consumer) {
	name := o.text + uint32(o.idLen)
	c.ID = s.slice(o.text, o.idLen)
	c.Username = s.slice(name, o.nameLen)
	c.CustomID = s.slice(name+uint32(o.nameLen), o.customIDLen)
	c.Tags = s.attributes[o.tags].tags
	c.CreatedAt, c.UpdatedAt = o.createdAt, o.updatedAt
}

// slice returns a part of the text without copying it: written text never changes.
func (s *Snapshot) slice(at uint32, n uint16) string {
	if n == 0 {
		return ""
	}
	return unsafe.String(&s.text[at], int(n))
}

// findOwner returns the number of the owner with this id or reference, removed ones left out.
func (s *Snapshot) findOwner(id string) (uint32, bool) {
	for i := range s.byID.candidates(textHash(id)) {
		if o := &s.owners[i]; o.state != ownerRemoved && s.slice(o.text, o.idLen) == id {
			return i, true
		}
	}
	return 0, false
}

// A table finds numbers by hash: open addressing over a power of two, each slot a number plus one.
type table struct {
	slots []uint32
	used  int
}

func digestHash(d key.Digest) uint64 { return binary.LittleEndian.Uint64(d[:]) }

var seed = maphash.MakeSeed() // read-only

func textHash(s string) uint64 { return maphash.String(seed, s) }

// candidates yields the numbers that hash may stand for.
func (t *table) candidates(hash uint64) func(func(uint32) bool) {
	return func(yield func(uint32) bool) {
		mask := uint64(len(t.slots) - 1)
		if len(t.slots) == 0 {
			return
		}
		for at := hash & mask; t.slots[at] != 0; at = (at + 1) & mask {
			if !yield(t.slots[at] - 1) {
				return
			}
		}
	}
}

// add puts number n under hash; rehash tells the hash of a number, for when the table grows.
func (t *table) add(hash uint64, n uint32, rehash func(uint32) uint64) {
	if 4*(t.used+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint32, max(8, 2*len(old)))
		for _, slot := range old {
			if slot != 0 {
				t.put(rehash(slot-1), slot)
			}
		}
	}
	t.put(hash, n+1)
	t.used++
}

func (t *table) put(hash uint64, slot uint32) {
	mask := uint64(len(t.slots) - 1)
	at := hash & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = slot
}

// clip gives back what slices have grown ahead by more than an eighth.
func (s *Snapshot) clip() {
	s.records, s.owners, s.text = clip(s.records), clip(s.owners), clip(s.text)
}

func clip[T any](list []T) []T {
	if cap(list)-len(list) > cap(list)/8 {
		return append(make([]T, 0, len(list)), list...)
	}
	return list
}
