package remote

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"kong-go-plugins/moesif/rawjson"
)

// The collector's documents are read member by member: what is unknown is ignored, and what has the wrong type is
// reported and missing, nothing more. Of two members of one name the last counts.

// errNotJSON is what a document without a meaning is refused with.
var errNotJSON = errors.New("the answer is not JSON, or nested too deep")

// compact returns a document ready to be read. Bytes that are not UTF-8 become U+FFFD, which no id may hold: they cost
// their member alone.
func compact(document []byte) ([]byte, error) {
	if !utf8.Valid(document) {
		document = bytes.ToValidUTF8(document, []byte("\ufffd"))
	}
	document, ok := rawjson.Compact(document)
	if !ok {
		return nil, errNotJSON
	}
	return document, nil
}

// problems are the parts of a document that cannot be used, by position only: names, ids and values are the customers'.
type problems struct {
	count int
	first string
}

func (p *problems) add(format string, args ...any) {
	if p.count == 0 {
		p.first = fmt.Sprintf(format, args...)
	}
	p.count++
}

// String returns "" when there are none.
func (p *problems) String() string {
	switch p.count {
	case 0:
		return ""
	case 1:
		return p.first
	default:
		return fmt.Sprintf("%s (and %d more)", p.first, p.count-1)
	}
}

// member returns the member of an object, or nil. A null is nil, too.
func member(object []byte, name string) (found []byte) {
	rawjson.Members(object, func(n string, value []byte) {
		if n == name {
			found = value
		}
	})
	if isNull(found) {
		return nil
	}
	return found
}

func isNull(v []byte) bool  { return len(v) == 0 || v[0] == 'n' }
func isArray(v []byte) bool { return len(v) > 0 && v[0] == '[' }

// isEmptyArray is how some languages write an empty object.
func isEmptyArray(v []byte) bool { return string(v) == "[]" }

// text returns a string, or the digits of a number, or a boolean as text.
func text(v []byte) (string, bool) {
	switch {
	case isNull(v), v[0] == '{', v[0] == '[':
		return "", false
	case rawjson.IsString(v):
		return rawjson.Unquote(v), true
	default:
		return string(v), true
	}
}

// id returns a text that can name a user, a company or a rule. One whose bytes were lost would name several.
func id(s string) bool { return s != "" && !strings.ContainsRune(s, utf8.RuneError) }

// number returns a finite number, also one that is written as a text.
func number(v []byte) (float64, bool) {
	s, ok := text(v)
	if !ok || s == "" || (s[0] != '-' && (s[0] < '0' || s[0] > '9')) || !rawjson.Valid([]byte(s)) {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil
}

// rate returns a percentage; one outside 0..100 counts as the nearer end.
func rate(v []byte) (float64, bool) {
	n, ok := number(v)
	return min(max(n, 0), 100), ok
}
