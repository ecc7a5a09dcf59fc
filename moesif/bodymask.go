package moesif

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// A bodyMask removes members from JSON bodies. It is compiled once and never changed.
//
// Whatever it does not understand is removed rather than sent: an entry that is no path is a configuration error, a body
// that is not JSON is left out of the event (see capturedBody), and a path goes through arrays that it does not mention.
type bodyMask struct {
	names map[string]bool // removed at every depth
	paths []path          // from the top
}

// A path leads to a value: $.user.ssn, items[*].card, $["odd name"][0].
type path []step

// A step is a member's name, an element's index, or all of them.
type step struct {
	name  string
	index int // -1: a name, or all
	all   bool
}

// newBodyMask compiles the entries of a mask setting; nil when there are none.
func newBodyMask(entries []string) (*bodyMask, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	m := &bodyMask{names: make(map[string]bool)}
	for _, e := range entries {
		if !strings.HasPrefix(e, "$") {
			m.names[e] = true // also the name that is written as a path would be
			if !strings.ContainsAny(e, ".[") {
				continue
			}
		}
		p, err := parsePath(e)
		if err != nil {
			return nil, err
		}
		m.paths = append(m.paths, p)
	}
	return m, nil
}

// parsePath reads $.name, .name, name, [0], [*], .* and ["name"] or ['name'].
func parsePath(s string) (path, error) {
	bad := func(what string) error {
		return fmt.Errorf(`%q is no path: %s; write for instance $.user.ssn or items[*].card`, s, what)
	}
	var p path
	rest := s
	switch {
	case strings.HasPrefix(rest, "$"):
		rest = rest[1:]
		if rest == "" {
			return nil, bad("it names the whole body, for which there is the setting that disables body capture")
		}
	case rest[0] != '.' && rest[0] != '[':
		rest = "." + rest
	}
	for rest != "" {
		switch rest[0] {
		case '.':
			end := strings.IndexAny(rest[1:], ".[") + 1
			if end == 0 {
				end = len(rest)
			}
			name := rest[1:end]
			rest = rest[end:]
			switch name {
			case "":
				return nil, bad("a name is empty")
			case "*":
				p = append(p, step{index: -1, all: true})
			default:
				p = append(p, step{index: -1, name: name})
			}
		case '[':
			st, after, ok := parseBracket(rest)
			if !ok {
				return nil, bad("between [ and ] stands neither a number, nor *, nor a name in quotes")
			}
			p = append(p, st)
			rest = after
		default:
			return nil, bad("a dot or [ is missing")
		}
	}
	return p, nil
}

// parseBracket reads one [...] from the start of s and returns what follows it.
func parseBracket(s string) (st step, after string, ok bool) {
	if len(s) > 2 && (s[1] == '"' || s[1] == '\'') {
		end := strings.Index(s[2:], string(s[1])+"]")
		if end <= 0 {
			return step{}, "", false
		}
		return step{index: -1, name: s[2 : 2+end]}, s[2+end+2:], true
	}
	end := strings.IndexByte(s, ']')
	if end < 0 {
		return step{}, "", false
	}
	inner, after := s[1:end], s[end+1:]
	if inner == "*" {
		return step{index: -1, all: true}, after, true
	}
	n, err := strconv.Atoi(inner)
	if err != nil || n < 0 {
		return step{}, "", false
	}
	return step{index: n}, after, true
}

// apply returns compacted JSON without what the mask removes. Reading is one pass, whatever the number of masks.
func (m *bodyMask) apply(v []byte) []byte {
	w := masker{names: m.names, in: v, out: make([]byte, 0, len(v))}
	w.value(m.paths)
	return w.out
}

// A masker copies one body.
type masker struct {
	names map[string]bool
	in    []byte
	at    int
	out   []byte
}

// value copies the value at w.at. The paths are those that lead below it, without the steps already taken.
func (w *masker) value(paths []path) {
	switch w.in[w.at] {
	case '{':
		w.object(paths)
	case '[':
		w.array(paths)
	default:
		end := rawjson.ValueEnd(w.in, w.at)
		w.out = w.appendScalar(w.out, w.in[w.at:end])
		w.at = end
	}
}

// appendScalar appends a text, a number or a word. JSON that travels in a text, as in messages of a queue, loses the
// members of masked names, too; what holds none stays byte for byte.
func (w *masker) appendScalar(dst, v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 { // no quote in it, so no member
		return append(dst, v...)
	}
	inner, ok := rawjson.Compact([]byte(rawjson.Unquote(v)))
	if !ok {
		return append(dst, v...)
	}
	nested := masker{names: w.names, in: inner, out: make([]byte, 0, len(inner))}
	nested.value(nil)
	if bytes.Equal(nested.out, inner) {
		return append(dst, v...)
	}
	return rawjson.AppendString(dst, string(nested.out))
}

func (w *masker) object(paths []path) {
	w.out = append(w.out, '{')
	first := true
	for w.at++; w.in[w.at] != '}'; {
		if w.in[w.at] == ',' {
			w.at++
		}
		end := rawjson.StringEnd(w.in, w.at)
		quoted := w.in[w.at:end]
		name := rawjson.Unquote(quoted)
		w.at = end + 1 // behind the colon
		below, remove := descend(paths, func(s step) bool { return s.all || s.index < 0 && s.name == name })
		if remove || w.names[name] {
			w.at = rawjson.ValueEnd(w.in, w.at)
			continue
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.out = append(append(w.out, quoted...), ':')
		w.value(below)
	}
	w.at++
	w.out = append(w.out, '}')
}

func (w *masker) array(paths []path) {
	w.out = append(w.out, '[')
	first := true
	index := 0
	for w.at++; w.in[w.at] != ']'; index++ {
		if w.in[w.at] == ',' {
			w.at++
		}
		below, remove := descend(paths, func(s step) bool { return s.all || s.index == index })
		if remove {
			w.at = rawjson.ValueEnd(w.in, w.at)
			continue
		}
		for _, p := range paths { // a name goes through an array that the path does not mention
			if !p[0].all && p[0].index < 0 {
				below = append(below, p)
			}
		}
		if !first {
			w.out = append(w.out, ',')
		}
		first = false
		w.value(below)
	}
	w.at++
	w.out = append(w.out, ']')
}

// descend returns the rest of the paths whose first step matches, and whether one of them ends there.
func descend(paths []path, match func(step) bool) (below []path, remove bool) {
	for _, p := range paths {
		if !match(p[0]) {
			continue
		}
		if len(p) == 1 {
			return nil, true
		}
		below = append(below, p[1:])
	}
	return below, false
}
