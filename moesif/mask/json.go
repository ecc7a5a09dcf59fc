package mask

import (
	"bytes"
	"unicode/utf8"

	"kong-go-plugins/moesif/rawjson"
)

// JSON masks a body that rawjson.Compact has accepted. It returns v itself when nothing changes, else dst with what is
// left of v behind it.
//
// The body is read once, whatever the number of masks.
func (m *Masks) JSON(dst, v []byte) (shown []byte, changed bool) {
	if !m.Bodies() {
		return v, false
	}
	w := jsonMasker{m: m, in: v}
	return w.run(dst, nil)
}

// A jsonMasker copies one value.
type jsonMasker struct {
	m       *Masks
	nesting int
	in      []byte
	at      int
	from    int // what lies between from and at is not copied yet
	out     []byte
	changed bool

	// The nodes of all levels, one behind the other. The level at hand begins at an index that each method is given.
	nodes []*node
	space [16]*node
}

// run masks the value and reports whether anything has changed; if not, it returns the value as it was. Paths begin at
// the value, and go on from below.
func (w *jsonMasker) run(dst []byte, below []*node) (shown []byte, changed bool) {
	w.out = dst
	if w.m.paths != nil {
		w.nodes = append(append(w.space[:0], below...), w.m.paths)
	}
	w.value(0)
	if !w.changed {
		return w.in, false
	}
	return append(w.out, w.in[w.from:]...), true
}

// put copies what is not copied yet up to start, then what stands for in[start:end].
func (w *jsonMasker) put(start, end int, instead []byte) {
	w.changed = true
	w.out = append(w.out, w.in[w.from:start]...)
	w.out = append(w.out, instead...)
	w.from = end
}

// value reads the value at w.at; nodes[level:] are those below which paths go on.
func (w *jsonMasker) value(level int) {
	switch w.in[w.at] {
	case '{':
		w.object(level)
	case '[':
		w.array(level)
	case '"':
		w.text(w.nodes[level:])
	default:
		start := w.at
		w.at = rawjson.ValueEnd(w.in, start)
		if c := w.in[start]; w.m.detect.card && w.at-start >= minCardDigits && (c == '-' || c <= '9') {
			w.number(start)
		}
	}
}

// number masks a number that is a card's.
func (w *jsonMasker) number(start int) {
	digits := bytes.TrimPrefix(w.in[start:w.at], []byte("-"))
	if whole, fraction, ok := bytes.Cut(digits, []byte(".")); ok && len(bytes.Trim(fraction, "0")) == 0 {
		digits = whole
	}
	if isCard(digits) {
		w.put(start, w.at, rawjson.AppendString(nil, w.m.instead(string(w.in[start:w.at]))))
	}
}

// text reads a string, as a value, below which paths may go on, or as a name.
func (w *jsonMasker) text(below []*node) {
	start := w.at
	w.at = rawjson.StringEnd(w.in, start)
	inner := w.in[start+1 : w.at-1]
	escaped := bytes.IndexByte(inner, '\\') >= 0
	nested := startsNested(inner, escaped)
	if !nested && !w.m.detect.any() {
		return
	}
	if escaped {
		inner = rawjson.AppendUnquoted(nil, w.in[start:w.at])
	}
	var shown []byte
	var changed bool
	if nested {
		shown, changed = w.m.text(inner, w.nesting, below)
	} else {
		shown, changed = w.m.detectIn(inner)
	}
	if changed {
		w.put(start, w.at, rawjson.AppendString(nil, shown))
	}
}

// startsNested reports whether the inside of a string may be JSON or XML. JSON with anything to mask in it needs quotes,
// which are escaped.
func startsNested(inner []byte, escaped bool) bool {
	c := firstDecoded(inner)
	return c == '<' || escaped && (c == '{' || c == '[' || c == '"')
}

// firstDecoded is firstByte of what the inside of a string stands for.
func firstDecoded(inner []byte) byte {
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; c {
		case ' ':
		case '\\':
			i++
			switch inner[i] {
			case 'n', 'r', 't':
			case 'u':
				r := rune(hexValue(inner[i+1]))<<12 | rune(hexValue(inner[i+2]))<<8 | rune(hexValue(inner[i+3]))<<4 | rune(hexValue(inner[i+4]))
				if i += 4; r > ' ' && r < utf8.RuneSelf {
					return byte(r)
				} else if r != ' ' && r != '\t' && r != '\r' && r != '\n' && r != '\ufeff' {
					return 0
				}
			default:
				return inner[i]
			}
		case 0xef: // of a byte order mark, perhaps
			if bomOf(inner[i:]) == nil {
				return 0
			}
			i += 2
		default:
			return c
		}
	}
	return 0
}

func (w *jsonMasker) object(level int) {
	kept := false
	for w.at++; w.in[w.at] != '}'; {
		if w.in[w.at] == ',' {
			w.at++
		}
		start := w.at
		end := rawjson.StringEnd(w.in, start)
		name := w.in[start+1 : end-1]
		if bytes.IndexByte(name, '\\') >= 0 {
			name = rawjson.AppendUnquoted(nil, w.in[start:end])
		}
		below := len(w.nodes)
		hit := w.m.named(name)
		for _, n := range w.nodes[level:below] {
			hit = w.enter(n.child(name)) || hit
			hit = w.enter(n.all) || hit
		}
		switch {
		case !hit:
			kept = true
			if w.m.detect.any() {
				w.text(nil)
			}
			w.at = end + 1 // behind the colon
			w.value(below)
		case w.m.remove:
			w.at = rawjson.ValueEnd(w.in, end+1)
			w.cut(start, kept)
		default:
			kept = true
			w.at = end + 1
			w.hide()
		}
		w.nodes = w.nodes[:below]
	}
	w.at++
}

func (w *jsonMasker) array(level int) {
	kept := false
	index := 0
	for w.at++; w.in[w.at] != ']'; index++ {
		if w.in[w.at] == ',' {
			w.at++
		}
		below := len(w.nodes)
		hit := false
		for _, n := range w.nodes[level:below] {
			hit = w.enter(n.indexes[index]) || hit
			hit = w.enter(n.all) || hit
			if n.through != nil {
				w.nodes = append(w.nodes, n.through)
			}
		}
		switch {
		case !hit:
			kept = true
			w.value(below)
		case w.m.remove:
			start := w.at
			w.at = rawjson.ValueEnd(w.in, start)
			w.cut(start, kept)
		default:
			kept = true
			w.hide()
		}
		w.nodes = w.nodes[:below]
	}
	w.at++
}

// enter adds a node to the level at hand and reports whether a path ends there.
func (w *jsonMasker) enter(n *node) bool {
	if n == nil {
		return false
	}
	w.nodes = append(w.nodes, n)
	return n.end
}

// cut removes in[start:at] with one of the commas beside it.
func (w *jsonMasker) cut(start int, kept bool) {
	end := w.at
	switch {
	case kept:
		start-- // the comma before
	case w.in[end] == ',':
		end++
	}
	w.put(start, end, nil)
	w.at = end
}

// hide replaces the value at w.at.
func (w *jsonMasker) hide() {
	start := w.at
	w.at = rawjson.ValueEnd(w.in, start)
	value := w.in[start:w.at]
	text := string(value)
	if rawjson.IsString(value) {
		text = rawjson.Unquote(text)
	}
	w.put(start, w.at, rawjson.AppendString(nil, w.m.instead(text)))
}
