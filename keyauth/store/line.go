package store

import (
	"bytes"
	"crypto/rand"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"kong-go-plugins/keyauth/key"
)

// The keys file is JSON lines: a header, then one change a line. A later line replaces what an earlier one says of the
// same consumer or the same hash, so that a change is one append; a compacted file has only consumers and keys.
//
//	{"format":"keyauth-keys","version":1,"id":"GAYDKOJ4MZXGC3DF","lines":2}
//	{"consumer":{"id":"5d6e...","username":"alice"}}
//	{"key":{"id":"0a1b...","hash":"sha256::ungW...","consumer":"5d6e...","hint":"acme_live_...ab3X"}}
//	{"delete_key":{"id":"0a1b...","hash":"sha256::ungW..."}}
//	{"delete_consumer":{"id":"5d6e..."}}
type line struct {
	Format         string        `json:"format,omitempty"`
	Version        int           `json:"version,omitempty"`
	File           string        `json:"id,omitempty"`    // another one each time that the file is written anew
	Lines          int           `json:"lines,omitempty"` // that it then had behind the header, at least; with fewer it is half a copy
	Consumer       *Consumer     `json:"consumer,omitempty"`
	Key            *keyLine      `json:"key,omitempty"`
	DeleteKey      *deleteKey    `json:"delete_key,omitempty"`
	DeleteConsumer *deleteByName `json:"delete_consumer,omitempty"`
}

type keyLine struct {
	ID        string         `json:"id"`
	Hash      key.Stored     `json:"hash"`
	Replaces  *key.Stored    `json:"replaces,omitempty"` // the hash that this id had until now
	Consumer  string         `json:"consumer,omitempty"` // the id of one in the file, else any id or username
	ExpiresAt int64          `json:"expires_at,omitempty"`
	NotBefore int64          `json:"not_before,omitempty"`
	CreatedAt int64          `json:"created_at,omitempty"`
	Disabled  bool           `json:"disabled,omitempty"`
	Groups    []string       `json:"groups,omitempty"`
	Scopes    []string       `json:"scopes,omitempty"`
	CIDRs     []netip.Prefix `json:"cidrs,omitempty"`
	Hint      string         `json:"hint,omitempty"`
	Tags      []string       `json:"tags,omitempty"`
}

type deleteKey struct {
	ID   string     `json:"id"`
	Hash key.Stored `json:"hash"`
}

type deleteByName struct {
	ID string `json:"id"`
}

const (
	format  = "keyauth-keys"
	version = 1
)

func newHeader(lines int) line {
	return line{Format: format, Version: version, File: rand.Text(), Lines: lines}
}

func newKeyLine(c Credential) *keyLine {
	ref := c.ConsumerRef
	if c.Consumer.ID != "" {
		ref = c.Consumer.ID
	}
	return &keyLine{
		ID: c.ID, Hash: c.Hash, Consumer: ref, ExpiresAt: c.ExpiresAt, NotBefore: c.NotBefore, CreatedAt: c.CreatedAt, Disabled: c.Disabled,
		Groups: c.Groups, Scopes: c.Scopes, CIDRs: c.CIDRs, Hint: c.Hint, Tags: c.Tags,
	}
}

// entry has the consumer as a reference.
func (k *keyLine) entry() Entry {
	return Entry{
		ID: k.ID, ConsumerRef: k.Consumer, ExpiresAt: k.ExpiresAt, NotBefore: k.NotBefore, CreatedAt: k.CreatedAt, Disabled: k.Disabled,
		Groups: k.Groups, Scopes: k.Scopes, CIDRs: k.CIDRs, Hint: k.Hint, Tags: k.Tags,
	}
}

// check tells whether l is one of the five kinds, and whole. first means that it is the first line of the file.
func (l *line) check(first bool) error {
	if l.Format != "" || l.Version != 0 || l.File != "" || l.Lines != 0 || first {
		switch {
		case !first:
			return errors.New("format: a header in the middle; files cannot be joined by cat, use keyauth keys import")
		case l.Format != format:
			return fmt.Errorf(`format: want the header {"format":%q,"version":%d}; is this a keys file?`, format, version)
		case l.Version != version:
			return fmt.Errorf("version: %d is not known here; want %d, or a newer keyauth", l.Version, version)
		}
		return nil
	}
	kinds := 0
	for _, there := range []bool{l.Consumer != nil, l.Key != nil, l.DeleteKey != nil, l.DeleteConsumer != nil} {
		if there {
			kinds++
		}
	}
	if kinds != 1 {
		return errors.New("want one of consumer, key, delete_key and delete_consumer")
	}
	switch {
	case l.Key != nil:
		return checkID("key", l.Key.ID, l.Key.Hash)
	case l.DeleteKey != nil:
		return checkID("delete_key", l.DeleteKey.ID, l.DeleteKey.Hash)
	case l.Consumer != nil && l.Consumer.ID == "":
		return errors.New("consumer.id: it is missing")
	case l.DeleteConsumer != nil && l.DeleteConsumer.ID == "":
		return errors.New("delete_consumer.id: it is missing")
	}
	return nil
}

func checkID(field, id string, hash key.Stored) error {
	switch {
	case id == "":
		return fmt.Errorf("%s.id: it is missing", field)
	case hash.Algorithm == "":
		return fmt.Errorf("%s.hash: it is missing; keyauth keys import makes it from a key", field)
	}
	return nil
}

// A lineError says where in the file something is wrong. It does not repeat what stands there.
type lineError struct {
	Line int
	Err  error
}

func (e *lineError) Error() string {
	return fmt.Sprintf("line %d: %v; correct or remove the line, or put a copy of the file in its place", e.Line, e.Err)
}

func (e *lineError) Unwrap() error { return e.Err }

// parseLines reads whole lines, the first of which has the number first. The standard library takes three times as long
// for a million of them.
func parseLines(data []byte, first int) ([]line, error) {
	lines := make([]line, 0, bytes.Count(data, []byte{'\n'}))
	for text := range bytes.Lines(data) {
		var l line
		err := json.Unmarshal(text, &l, json.RejectUnknownMembers(true))
		if err == nil {
			err = l.check(first == 1)
		}
		if err != nil {
			return nil, &lineError{Line: first, Err: plain(err)}
		}
		lines = append(lines, l)
		first++
	}
	return lines, nil
}

// plain is err without anything of the file's content, which could be a key.
func plain(err error) error {
	var syntax *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntax), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("it is not one JSON object, alone and whole")
	case !errors.As(err, &semantic):
		return err
	}
	field := strings.ReplaceAll(strings.TrimPrefix(string(semantic.JSONPointer), "/"), "/", ".")
	if strings.Trim(field, "abcdefghijklmnopqrstuvwxyz_.0123456789") != "" {
		field = "" // no name that anybody knows; it could be a key in the wrong place
	}
	if field != "" {
		field += ": "
	}
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return fmt.Errorf("%sthis field is unknown; correct its name, or use a newer keyauth", field)
	case semantic.GoType == reflect.TypeFor[netip.Prefix]():
		return fmt.Errorf("%swant an address with a length, such as 10.0.0.0/8", field)
	case semantic.GoType == reflect.TypeFor[key.Stored]() && semantic.Err != nil:
		return fmt.Errorf("%s%w", field, semantic.Err)
	case semantic.GoType != nil:
		return fmt.Errorf("%swant %s, not %s", field, jsonKind(semantic.GoType), kindName(semantic.JSONKind))
	}
	return fmt.Errorf("%sthis value cannot be used", field)
}

// jsonKind says what JSON has for a Go type.
func jsonKind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.String:
		return "text"
	}
	if t == reflect.TypeFor[key.Stored]() {
		return "text"
	}
	return "an object"
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '"':
		return "text"
	case '0':
		return "this number"
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return k.String()
}

// appendLine writes l as a line.
func appendLine(to []byte, l line) []byte {
	text, err := stdjson.Marshal(l)
	if err != nil {
		panic(err) // a line holds nothing that JSON cannot
	}
	return append(append(to, text...), '\n')
}
