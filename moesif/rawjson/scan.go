package rawjson

import (
	"bytes"
	"unicode/utf8"
)

// MaxDepth is the deepest nesting that counts as JSON. The decoders behind a collector stop far earlier than ours.
const MaxDepth = 200

// maxForeignDepth is how deep a text may nest that is only read, as encoding/json has it.
const maxForeignDepth = 10000

// Valid reports whether v is one JSON value in UTF-8, at most MaxDepth deep.
func Valid(v []byte) bool {
	s := scanner[[]byte]{in: v, maxDepth: MaxDepth}
	return utf8.Valid(v) && s.document()
}

// Readable reports whether v is one JSON value as encoding/json takes it: its texts may hold bytes that are no UTF-8, and
// it may nest 10000 deep.
func Readable(v []byte) bool {
	s := scanner[[]byte]{in: v, maxDepth: maxForeignDepth}
	return s.document()
}

// Compact returns v without white space between its tokens, or false when v is not Valid. A byte order mark at the start
// is tolerated.
func Compact(v []byte) ([]byte, bool) {
	return AppendCompact(make([]byte, 0, len(v)), v)
}

// AppendCompact appends what Compact returns; with false, dst holds nothing new.
func AppendCompact(dst, v []byte) ([]byte, bool) {
	v = bytes.TrimPrefix(v, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(v) {
		return dst, false
	}
	s := scanner[[]byte]{in: v, maxDepth: MaxDepth, copies: true, out: dst}
	if !s.document() {
		return dst, false
	}
	return append(s.out, v[s.from:s.at]...), true
}

// A scanner reads one JSON value from its start to its end, in one pass, and copies it without white space when asked to.
type scanner[T Text] struct {
	in       T
	at       int
	depth    int
	maxDepth int
	simple   bool // the text that was read last is ASCII without escapes

	copies bool
	from   int // what lies between from and at is not copied yet
	out    []byte
}

// document reads the whole input. Afterwards in[from:at] is what is not copied yet.
func (s *scanner[T]) document() bool {
	return s.value() && s.peek() == 0 && s.at == len(s.in)
}

// peek steps over white space, of which there mostly is none, and returns the next byte, 0 at the end.
func (s *scanner[T]) peek() byte {
	if s.at < len(s.in) && s.in[s.at] > ' ' {
		return s.in[s.at]
	}
	return s.skip()
}

func (s *scanner[T]) skip() byte {
	end := SkipSpace(s.in, s.at)
	if end > s.at && s.copies {
		s.out = append(s.out, s.in[s.from:s.at]...)
		s.from = end
	}
	if s.at = end; end == len(s.in) {
		return 0
	}
	return s.in[end]
}

func (s *scanner[T]) value() bool { return s.valueOf(s.peek()) }

// valueOf reads a value that begins with c, the next byte.
func (s *scanner[T]) valueOf(c byte) bool {
	switch c {
	case '"':
		return s.text()
	case '{':
		return s.object()
	case '[':
		return s.array()
	case 't':
		return s.word("true")
	case 'f':
		return s.word("false")
	case 'n':
		return s.word("null")
	default:
		return s.number()
	}
}

func (s *scanner[T]) object() bool {
	if !s.enter() {
		return false
	}
	if s.peek() == '}' {
		return s.leave()
	}
	for {
		if s.peek() != '"' || !s.text() || s.peek() != ':' {
			return false
		}
		s.at++
		if !s.value() {
			return false
		}
		switch s.peek() {
		case '}':
			return s.leave()
		case ',':
			s.at++
		default:
			return false
		}
	}
}

func (s *scanner[T]) array() bool {
	if !s.enter() {
		return false
	}
	if s.peek() == ']' {
		return s.leave()
	}
	for {
		if !s.value() {
			return false
		}
		switch s.peek() {
		case ']':
			return s.leave()
		case ',':
			s.at++
		default:
			return false
		}
	}
}

// enter steps over an opening bracket.
func (s *scanner[T]) enter() bool {
	s.at++
	s.depth++
	return s.depth <= s.maxDepth
}

// leave steps over a closing bracket.
func (s *scanner[T]) leave() bool {
	s.at++
	s.depth--
	return true
}

// take steps over c if it comes next.
func (s *scanner[T]) take(c byte) bool {
	if s.at >= len(s.in) || s.in[s.at] != c {
		return false
	}
	s.at++
	return true
}

// text reads a string, whose opening quote is next.
func (s *scanner[T]) text() bool {
	in := s.in
	s.simple = true
	i := asciiEnd(in, s.at+1)
	for ; i < len(in); i++ {
		switch c := in[i]; {
		case c == '"':
			s.at = i + 1
			return true
		case c >= utf8.RuneSelf:
			s.simple = false
		case c < ' ':
			return false
		case c == '\\':
			s.simple = false
			i++
			if i >= len(in) {
				return false
			}
			switch in[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				if i+4 >= len(in) || !isHex(in[i+1]) || !isHex(in[i+2]) || !isHex(in[i+3]) || !isHex(in[i+4]) {
					return false
				}
				i += 4
			default:
				return false
			}
		}
	}
	return false
}

func (s *scanner[T]) word(w string) bool {
	if len(s.in)-s.at < len(w) || string(s.in[s.at:s.at+len(w)]) != w {
		return false
	}
	s.at += len(w)
	return true
}

func (s *scanner[T]) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

// digits reads one digit or more.
func (s *scanner[T]) digits() bool {
	start := s.at
	for s.at < len(s.in) && isDigit(s.in[s.at]) {
		s.at++
	}
	return s.at > start
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isHex(c byte) bool { return isDigit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
