// Package mask takes out of an event what a configuration wants kept: members of bodies, headers and query arguments by
// name, and values by what they are (card numbers, e-mail addresses, JSON Web Tokens).
//
// It fails closed: an entry that is no path is an error, and a body that cannot be read with certainty is refused, so
// that its caller leaves it out. What is not masked keeps its bytes.
package mask

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// Stars stand for a value that was taken out.
const Stars = "*****"

// Rules are what one direction's masks are made of. The zero value masks nothing.
type Rules struct {
	Body      []string // names, which count at every depth, and paths from the top: $.user.ssn, items[*].card
	Headers   []string // in any case
	Query     []string // exact names
	Action    string   // "remove" (also ""), "stars" or "hash", for body and header
	HashKey   string   // for "hash"
	Detectors []string // "card_number", "email", "jwt"
}

// Masks are compiled rules. They are never changed; nil masks nothing.
type Masks struct {
	names   map[string]bool
	lengths lengths         // of the names
	paths   *node           // nil when there are none
	words   map[string]bool // names, and the last ones of paths
	headers map[string]bool
	query   map[string]bool

	remove  bool
	hashKey []byte // nil: stars
	detect  detectors
}

// Compile checks rules. Its errors are about Body when they name a path; they come with the entry and a remedy. Rules
// that mask nothing give nil.
func Compile(r Rules) (*Masks, error) {
	m := &Masks{names: make(map[string]bool), words: make(map[string]bool), headers: set(r.Headers, strings.ToLower), query: set(r.Query, nil), remove: true}
	switch r.Action {
	case "", "remove":
	case "stars":
		m.remove = false
	case "hash":
		if r.HashKey == "" {
			return nil, errors.New("the action hash wants a key")
		}
		m.remove, m.hashKey = false, []byte(r.HashKey)
	default:
		return nil, fmt.Errorf("no action is called %q; there are remove, stars and hash", r.Action)
	}
	for _, d := range r.Detectors {
		switch d {
		case "card_number":
			m.detect.card = true
		case "email":
			m.detect.email = true
		case "jwt":
			m.detect.jwt = true
		default:
			return nil, fmt.Errorf("no detector is called %q; there are card_number, email and jwt", d)
		}
	}
	for _, e := range r.Body {
		if err := m.addBody(e); err != nil {
			return nil, err
		}
	}
	if m.paths != nil {
		m.paths.link()
	}
	if !m.Bodies() && len(m.headers)+len(m.query) == 0 {
		return nil, nil
	}
	return m, nil
}

// addBody adds an entry as a name, a path, or both: a member may be named as a path is written.
func (m *Masks) addBody(entry string) error {
	if entry == "*" {
		return errors.New(`"*" is no name; write $.* for all members, or disable the capture of bodies`)
	}
	if !strings.HasPrefix(entry, "$") {
		m.names[entry] = true
		m.lengths.add(len(entry))
		m.words[entry] = true
		if !strings.ContainsAny(entry, ".[") {
			return nil
		}
	}
	steps, err := parsePath(entry)
	if err != nil {
		return err
	}
	if m.paths == nil {
		m.paths = new(node)
	}
	m.paths.add(steps)
	for _, s := range slices.Backward(steps) {
		if s.name != "" {
			m.words[s.name] = true
			break
		}
	}
	return nil
}

// Bodies reports whether bodies are masked.
func (m *Masks) Bodies() bool { return m != nil && (m.byName() || m.detect.any()) }

// byName reports whether members of bodies are masked by their name or path.
func (m *Masks) byName() bool { return len(m.names) > 0 || m.paths != nil }

// named reports whether members of that name are masked, wherever they stand.
func (m *Masks) named(name []byte) bool {
	return m.lengths.has(len(name)) && m.names[string(name)]
}

// HidesHeader reports whether the header of that name, in lower case, is masked.
func (m *Masks) HidesHeader(name string) bool { return m != nil && m.headers[name] }

// Header returns one value of the header of that name, in lower case, as it may be shown, or false for not at all.
// Query masks hold for the URLs in it, too (referer, location ...).
func (m *Masks) Header(name, value string) (shown string, ok bool) {
	switch {
	case m == nil:
		return value, true
	case !m.headers[name]:
		return m.URL(value), true
	case m.remove:
		return "", false
	}
	return m.instead(value), true
}

// instead returns what stands for a value that is masked and not removed.
func (m *Masks) instead(value string) string {
	if m.hashKey == nil {
		return Stars
	}
	h := hmac.New(sha256.New, m.hashKey)
	h.Write([]byte(value))
	return "hash:" + hex.EncodeToString(h.Sum(nil)[:16])
}

// maxNesting is how often JSON or XML may travel in a text of JSON or XML and still be looked into; what lies deeper is
// starred.
const maxNesting = 6

// text returns a text that stands in a body as it may be shown, and whether that is another than it was. JSON and XML
// that travel in it are masked, too: paths begin there anew, and those that lead to the text, which are at below, go on.
func (m *Masks) text(text []byte, nesting int, below []*node) (shown []byte, changed bool) {
	switch firstByte(text) {
	case '{', '[', '"':
		compact, ok := rawjson.Compact(text)
		if !ok {
			return m.broken(text, below)
		}
		if nesting == maxNesting {
			return []byte(`"` + Stars + `"`), true
		}
		w := jsonMasker{m: m, in: compact, nesting: nesting + 1}
		return w.run(nil, below)
	case '<':
		if nesting == maxNesting {
			return []byte(Stars), true
		}
		w := xmlMasker{m: m, in: text, nesting: nesting + 1, below: below}
		shown, changed, ok := w.run()
		if !ok {
			return m.broken(text, below)
		}
		return shown, changed
	}
	return m.detectIn(text)
}

// firstByte returns the first byte that is not white space or a byte order mark, 0 when there is none.
func firstByte(text []byte) byte {
	text = text[len(bomOf(text)):]
	if i := rawjson.SkipSpace(text, 0); i < len(text) {
		return text[i]
	}
	return 0
}

// bomOf returns the byte order mark of UTF-8 at the start of a text, or nothing.
func bomOf(text []byte) []byte {
	if len(text) >= 3 && string(text[:3]) == "\xef\xbb\xbf" {
		return text[:3]
	}
	return nil
}

func set(list []string, fold func(string) string) map[string]bool {
	s := make(map[string]bool, len(list))
	for _, e := range list {
		if fold != nil {
			e = fold(strings.TrimSpace(e))
		}
		if e != "" {
			s[e] = true
		}
	}
	return s
}
