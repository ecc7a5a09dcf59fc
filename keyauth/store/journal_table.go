package store

import (
	"encoding/base64"
	"fmt"

	"github.com/tidwall/btree"

	"kong-go-plugins/keyauth/key"
)

// A journalTable is what a keys file says, in the form that changing it needs: ordered by id, and found by each thing
// that has to be unique. It takes several times the memory of a Snapshot, in the process that administers.
type journalTable struct {
	keys       btree.Map[string, *Credential] // by id; all consumers are references
	byDigest   map[key.Digest]string
	byConsumer btree.Map[string, string] // consumer's id and credential's, to the credential's
	consumers  btree.Map[string, *Consumer]
	byName     map[string]string
	byCustomID map[string]string
}

func newJournalTable() *journalTable {
	return &journalTable{byDigest: map[key.Digest]string{}, byName: map[string]string{}, byCustomID: map[string]string{}}
}

func pair(consumerID, id string) string { return consumerID + "\x00" + id }

// apply follows one line of the file.
func (t *journalTable) apply(l *line) error {
	switch {
	case l.Key != nil:
		return t.put(l.Key)
	case l.DeleteKey != nil:
		t.remove(l.DeleteKey.ID)
	case l.Consumer != nil:
		t.removeConsumer(l.Consumer.ID)
		c := *l.Consumer
		t.consumers.Set(c.ID, &c)
		if c.Username != "" {
			t.byName[c.Username] = c.ID
		}
		if c.CustomID != "" {
			t.byCustomID[c.CustomID] = c.ID
		}
	case l.DeleteConsumer != nil:
		for _, id := range t.keysOf(l.DeleteConsumer.ID) {
			t.remove(id)
		}
		t.removeConsumer(l.DeleteConsumer.ID)
	}
	return nil
}

func (t *journalTable) put(k *keyLine) error {
	if old, ok := t.keys.Get(k.ID); ok && old.Hash != k.Hash && (k.Replaces == nil || *k.Replaces != old.Hash) {
		return fmt.Errorf("key.id: %q stands in an earlier line with another hash; give one of them another id", k.ID)
	}
	if other, ok := t.byDigest[k.Hash.Digest]; ok {
		t.remove(other)
	}
	t.remove(k.ID)
	t.keys.Set(k.ID, &Credential{Entry: k.entry(), Hash: k.Hash})
	t.byDigest[k.Hash.Digest] = k.ID
	t.byConsumer.Set(pair(k.Consumer, k.ID), k.ID)
	return nil
}

func (t *journalTable) remove(id string) {
	if c, ok := t.keys.Delete(id); ok {
		delete(t.byDigest, c.Hash.Digest)
		t.byConsumer.Delete(pair(c.ConsumerRef, id))
	}
}

func (t *journalTable) removeConsumer(id string) {
	if c, ok := t.consumers.Delete(id); ok {
		if t.byName[c.Username] == id {
			delete(t.byName, c.Username)
		}
		if t.byCustomID[c.CustomID] == id {
			delete(t.byCustomID, c.CustomID)
		}
	}
}

// keysOf returns the ids of a consumer's credentials.
func (t *journalTable) keysOf(consumerID string) (ids []string) {
	t.byConsumer.Ascend(pair(consumerID, ""), func(at, id string) bool {
		if at != pair(consumerID, id) {
			return false
		}
		ids = append(ids, id)
		return true
	})
	return ids
}

// credential returns a copy, with its consumer if the file has it.
func (t *journalTable) credential(id string) (Credential, bool) {
	c, ok := t.keys.Get(id)
	if !ok {
		return Credential{}, false
	}
	full := *c
	if owner, ok := t.consumers.Get(c.ConsumerRef); ok {
		full.Consumer, full.ConsumerRef = *owner, ""
	}
	return full, true
}

func (t *journalTable) has(id string) bool {
	_, ok := t.keys.Get(id)
	return ok
}

// checkCredential tells whether c may be stored; was is the id of the one that it replaces, if any.
func (t *journalTable) checkCredential(c Credential, was string) error {
	if c.Consumer.ID != "" {
		if _, ok := t.consumers.Get(c.Consumer.ID); !ok {
			return &ReferenceError{ConsumerID: c.Consumer.ID}
		}
	}
	if _, ok := t.keys.Get(c.ID); ok && c.ID != was {
		return &ConflictError{Entity: "key", Field: "id", Value: c.ID}
	}
	for _, d := range append([]key.Digest{c.Hash.Digest}, c.Also...) {
		if other, ok := t.byDigest[d]; ok && other != was {
			return &ConflictError{Entity: "key", Field: "key"}
		}
	}
	return nil
}

func (t *journalTable) checkConsumer(c Consumer, was string) error {
	if _, ok := t.consumers.Get(c.ID); ok && c.ID != was {
		return &ConflictError{Entity: "consumer", Field: "id", Value: c.ID}
	}
	if other, ok := t.byName[c.Username]; ok && other != was {
		return &ConflictError{Entity: "consumer", Field: "username", Value: c.Username}
	}
	if other, ok := t.byCustomID[c.CustomID]; ok && other != was {
		return &ConflictError{Entity: "consumer", Field: "custom_id", Value: c.CustomID}
	}
	return nil
}

// newKey returns the line that stores c in the place of the credential of its id, if there is one.
func (t *journalTable) newKey(c Credential) line {
	l := newKeyLine(c)
	if old, ok := t.keys.Get(c.ID); ok && old.Hash != c.Hash {
		l.Replaces = &old.Hash
	}
	return line{Key: l}
}

// A pager collects one page of what matches, and whether there is more.
type pager[T any] struct {
	size  int
	match func(T) bool
	page  []T
	last  string
	more  bool
}

// add reports whether to go on.
func (p *pager[T]) add(id string, item T) bool {
	if p.match != nil && !p.match(item) {
		return true
	}
	if len(p.page) >= max(p.size, 1) {
		p.more = true
		return false
	}
	p.page, p.last = append(p.page, item), id
	return true
}

func (p *pager[T]) next() string {
	if !p.more {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(p.last))
}

// after returns the id that a page begins behind.
func after(offset string) (string, error) {
	id, err := base64.RawURLEncoding.DecodeString(offset)
	if err != nil {
		return "", &OffsetError{Offset: offset}
	}
	return string(id), nil
}

func (t *journalTable) listCredentials(q CredentialQuery) ([]Credential, string, error) {
	from, err := after(q.Offset)
	if err != nil {
		return nil, "", err
	}
	p := pager[Credential]{size: q.Size, match: q.Match}
	add := func(id string) bool {
		c, _ := t.credential(id)
		return (id == from && from != "") || p.add(id, c)
	}
	if q.ConsumerID != "" {
		t.byConsumer.Ascend(pair(q.ConsumerID, from), func(at, id string) bool { return at == pair(q.ConsumerID, id) && add(id) })
	} else {
		t.keys.Ascend(from, func(id string, _ *Credential) bool { return add(id) })
	}
	return p.page, p.next(), nil
}

func (t *journalTable) listConsumers(q ConsumerQuery) ([]Consumer, string, error) {
	from, err := after(q.Offset)
	if err != nil {
		return nil, "", err
	}
	p := pager[Consumer]{size: q.Size, match: q.Match}
	t.consumers.Ascend(from, func(id string, c *Consumer) bool { return (id == from && from != "") || p.add(id, *c) })
	return p.page, p.next(), nil
}
