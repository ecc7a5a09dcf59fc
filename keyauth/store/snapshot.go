package store

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math"
	"math/bits"
	"net/netip"
	"unsafe"

	"kong-go-plugins/keyauth/key"
)

// A Snapshot is an immutable index of entries in memory, made by a Builder. It is laid out for a million keys: records
// without pointers and one text, so that the garbage collector has nothing to follow, and a lookup waits for the memory
// twice, for the record and for its consumer.
type Snapshot struct {
	records    []record // a hash table with open addressing: the digest says where to begin
	used       int      // records that are not free
	owners     []owner
	byID       table // owners by id
	attributes []attributes
	text       []byte
	gone       int // records that a later line replaced or removed
}

// A record is one key: 64 bytes, one line of the processor's cache.
type record struct {
	digest     key.Digest
	expiresAt  int64
	createdAt  int64
	text       uint32 // where id and hint stand in the text
	owner      uint32
	attributes uint32
	idLen      uint16
	hintLen    uint8
	flags      uint8
}

const (
	taken = 1 << iota // or the place is free
	disabled
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

// attributes are what few keys have, or many have in common.
type attributes struct {
	notBefore            int64
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
func (s *Snapshot) Len() int { return s.used - s.gone }

// Lookup returns the entry of a digest. It allocates nothing.
func (s *Snapshot) Lookup(_ context.Context, d key.Digest) (e Entry, err error) {
	if i, ok := place(s.records, &d); !ok || !s.read(&s.records[i], &e) {
		return e, ErrNotFound
	}
	return e, nil
}

// Close does nothing.
func (s *Snapshot) Close() error { return nil }

// place returns where the record of d stands, or the free place where it belongs.
func place(records []record, d *key.Digest) (at int, ok bool) {
	if len(records) == 0 {
		return 0, false
	}
	hi, _ := bits.Mul64(binary.LittleEndian.Uint64(d[:]), uint64(len(records)))
	for at = int(hi); records[at].flags&taken != 0; {
		if records[at].digest.Equal(*d) {
			return at, true
		}
		if at++; at == len(records) {
			at = 0
		}
	}
	return at, false
}

// read makes e, which is zero, the entry of r, unless that was removed. Its texts and lists are parts of the snapshot's.
func (s *Snapshot) read(r *record, e *Entry) bool {
	o := &s.owners[r.owner]
	if r.flags&removed != 0 || o.state == ownerRemoved {
		return false
	}
	e.ID, e.Hint = s.slice(r.text, r.idLen), s.slice(r.text+uint32(r.idLen), uint16(r.hintLen))
	e.ExpiresAt, e.CreatedAt, e.Disabled = r.expiresAt, r.createdAt, r.flags&disabled != 0
	if r.attributes != 0 {
		a := &s.attributes[r.attributes]
		e.NotBefore, e.Groups, e.Scopes, e.Tags, e.CIDRs = a.notBefore, a.groups, a.scopes, a.tags, a.cidrs
	}
	if o.state == referred {
		e.ConsumerRef = s.slice(o.text, o.idLen)
	} else {
		s.consumer(o, &e.Consumer)
	}
	return true
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
	hash := textHash(id)
	for n, at := s.byID.next(hash, 0); n != 0; n, at = s.byID.next(hash, at) {
		if o := &s.owners[n-1]; o.state != ownerRemoved && s.slice(o.text, o.idLen) == id {
			return n - 1, true
		}
	}
	return 0, false
}

// A table finds numbers by hash: open addressing over a power of two. A slot is the upper half of the hash, which tells
// most other entries apart without reading their records, and the number plus one.
type table struct {
	slots []uint64
	used  int
}

var seed = maphash.MakeSeed() // read-only

func textHash(s string) uint64 { return maphash.String(seed, s) }

// next returns the next number that hash may stand for; at is 0 for the first call, then what the call before returned.
// It is a number plus one: 0 means that there is no more.
func (t *table) next(hash, at uint64) (uint32, uint64) {
	if len(t.slots) == 0 {
		return 0, 0
	}
	mask := uint64(len(t.slots) - 1)
	for ; ; at++ {
		slot := t.slots[(hash+at)&mask]
		if slot == 0 || (slot^hash)>>32 == 0 {
			return uint32(slot), at + 1
		}
	}
}

// add puts number n under hash; rehash tells the hash of a number, for when the table grows.
func (t *table) add(hash uint64, n uint32, rehash func(uint32) uint64) {
	if 4*(t.used+1) > 3*len(t.slots) {
		old := t.slots
		t.slots = make([]uint64, max(8, 2*len(old)))
		for _, slot := range old {
			if slot != 0 {
				t.put(rehash(uint32(slot)-1), uint32(slot))
			}
		}
	}
	t.put(hash, n+1)
	t.used++
}

func (t *table) put(hash uint64, number uint32) {
	mask := uint64(len(t.slots) - 1)
	at := hash & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = hash>>32<<32 | uint64(number)
}

// clip gives back what a list has grown ahead by more than an eighth.
func clip[T any](list []T) []T {
	if cap(list)-len(list) > cap(list)/8 {
		return append(make([]T, 0, len(list)), list...)
	}
	return list
}
