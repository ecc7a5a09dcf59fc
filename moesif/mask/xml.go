package mask

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"kong-go-plugins/moesif/content"
)

// maxElements is the deepest nesting of elements that is read.
const maxElements = 200

// An xmlMasker copies one XML document without the elements and attributes of masked names, whatever the prefix if the
// mask has none. A path may begin at any element.
//
// It takes less than XML allows, so that no reader finds something in a document that it has not seen: no declarations of
// entities, UTF-8 only. Comments and processing instructions can hold anything, so they are removed when there are names.
type xmlMasker struct {
	m       *Masks
	nesting int
	below   []*node // where paths go on that lead to the text in which the document stands
	in      []byte
	at      int
	from    int // what lies between from and at is not copied yet
	out     []byte
	changed bool

	pieces []piece
	open   []element
	rooted bool // the root element has begun
	hidden int  // so many elements were open when a masked one began; -1: none has
	start  int  // where the content of the masked element begins
	shows  bool // its tag stays: it is starred, or the root, without which there is no document
}

// An element is open.
type element struct {
	name   string
	active []*node // where paths go on below it
}

// run masks the document, or returns false when it is not one that is understood. Unchanged, it returns the input.
func (w *xmlMasker) run() (shown []byte, changed, ok bool) {
	w.hidden = -1
	w.at = len(bomOf(w.in))
	if !utf8.Valid(w.in) || !isText(w.in) {
		return nil, false, false
	}
	for w.at < len(w.in) {
		if !w.next() {
			return nil, false, false
		}
	}
	if len(w.open) > 0 || !w.rooted {
		return nil, false, false
	}
	if !w.changed {
		return w.in, false, true
	}
	return append(w.out, w.in[w.from:]...), true, true
}

// put copies what is not copied yet up to start, then what stands for in[start:end], unless a masked element hides both.
func (w *xmlMasker) put(start, end int, instead string) {
	if w.hidden >= 0 {
		return
	}
	w.changed = true
	w.out = append(w.out, w.in[w.from:start]...)
	w.out = append(w.out, instead...)
	w.from = end
}

// next reads one piece of the document.
func (w *xmlMasker) next() bool {
	rest := w.in[w.at:]
	if p, found := pieceAt(w.in, w.at); found {
		inner := w.in[p.from:p.to]
		if p.kind == instruction && w.at == len(bomOf(w.in)) && isDeclaration(inner) {
			w.at = p.end
			return content.ASCIICompatible(declaredEncoding(inner))
		}
		return w.characters()
	}
	switch {
	case bytes.HasPrefix(rest, []byte("<!DOCTYPE")):
		end := bytes.IndexByte(rest, '>')
		if end < 0 || w.rooted || bytes.ContainsAny(rest[2:end], "[]<") || bytes.Count(rest[:end], []byte(`"`))%2 != 0 || bytes.Count(rest[:end], []byte(`'`))%2 != 0 {
			return false
		}
		w.at += end + 1
		return true
	case bytes.HasPrefix(rest, []byte("</")):
		return w.endTag()
	}
	return w.startTag()
}

// characters passes texts, CDATA sections, comments and instructions up to the next tag: what they hold of an element is
// one text. Outside of the root element there is only white space.
func (w *xmlMasker) characters() bool {
	var text joined
	for w.pieces = w.pieces[:0]; w.at < len(w.in); {
		p, found := pieceAt(w.in, w.at)
		if !found {
			break
		}
		inner := w.in[p.from:p.to]
		switch p.kind {
		case plainText:
			plain, ok := unescapeXML(inner)
			if !ok || len(w.open) == 0 && len(bytes.Trim(inner, " \t\r\n")) > 0 {
				return false
			}
			text.add(plain)
		case section:
			if len(w.open) == 0 {
				return false
			}
			text.add(inner)
		case instruction:
			if isDeclaration(inner) {
				return false
			}
		case broken:
			return false
		}
		w.pieces = append(w.pieces, p)
		w.at = p.end
	}
	shown, changed := text.bytes, false
	if len(w.open) > 0 {
		shown, changed = w.leaf(shown, w.open[len(w.open)-1].active)
	}
	for _, p := range w.pieces {
		switch {
		case p.kind == plainText || p.kind == section:
			if changed {
				w.put(p.start, p.end, escapeXML(shown))
				shown = nil // of all of them together
			}
		case w.m.byName():
			w.put(p.start, p.end, "")
		default:
			if shown, changed := w.m.detectIn(w.in[p.from:p.to]); changed {
				w.put(p.from, p.to, string(shown))
			}
		}
	}
	return true
}

// leaf masks the decoded text of an element or attribute; paths may go on below it.
func (w *xmlMasker) leaf(plain []byte, below []*node) (shown []byte, changed bool) {
	if w.hidden >= 0 {
		return plain, false
	}
	return w.m.text(plain, w.nesting, below)
}

func (w *xmlMasker) endTag() bool {
	start := w.at
	name, ok := w.name(start + 2)
	if !ok || len(w.open) == 0 || w.open[len(w.open)-1].name != name {
		return false
	}
	end := w.space(start + 2 + len(name))
	if end >= len(w.in) || w.in[end] != '>' {
		return false
	}
	w.at = end + 1
	w.open = w.open[:len(w.open)-1]
	if len(w.open) == w.hidden {
		w.show(start, "</"+name+">")
	}
	return true
}

// show ends the masked element, whose content ends at end.
func (w *xmlMasker) show(end int, endTag string) {
	inner := w.in[w.start:end]
	text := string(inner)
	if plain, ok := unescapeXML(inner); ok && bytes.IndexByte(inner, '<') < 0 {
		text = string(plain)
	}
	if w.shows {
		w.out = append(w.out, w.m.instead(text)...)
		w.out = append(w.out, endTag...)
	}
	w.hidden, w.from = -1, w.at
}

func (w *xmlMasker) startTag() bool {
	start := w.at
	name, ok := w.name(start + 1)
	if !ok || len(w.open) == 0 && w.rooted || len(w.open) >= maxElements {
		return false
	}
	w.rooted = true
	e := element{name: name}
	parents := w.below
	if len(w.open) > 0 {
		parents = w.open[len(w.open)-1].active
	}
	if w.m.paths != nil {
		parents = reach(parents[:len(parents):len(parents)], w.m.paths)
	}
	hit := false
	e.active, hit = w.m.qualified(parents, name)
	hide := hit && w.hidden < 0
	if hide {
		w.put(start, start, "")
		if w.shows = !w.m.remove || len(w.open) == 0; w.shows {
			w.out = append(w.out, w.in[start:start+1+len(name)]...)
		}
	}
	at, ok := w.attributes(start+1+len(name), e.active, hide)
	if !ok {
		return false
	}
	empty := w.in[at] == '/'
	if empty {
		at++
	}
	if at >= len(w.in) || w.in[at] != '>' {
		return false
	}
	w.at = at + 1
	if hide {
		if w.shows {
			w.out = append(w.out, '>')
		}
		w.hidden, w.start = len(w.open), w.at
		if empty {
			w.show(w.at, "</"+name+">")
		}
	}
	if !empty {
		w.open = append(w.open, e)
	}
	return true
}

// attributes reads the attributes behind in[at] and returns where the tag's / or > stands. Of an element that is hidden,
// only name spaces are shown, which its name may need.
func (w *xmlMasker) attributes(at int, active []*node, hide bool) (end int, ok bool) {
	for {
		before := at
		at = w.space(at)
		if at >= len(w.in) {
			return 0, false
		}
		if w.in[at] == '/' || w.in[at] == '>' {
			return at, true
		}
		name, ok := w.name(at)
		if !ok || at == before {
			return 0, false
		}
		at = w.space(at + len(name))
		if at >= len(w.in) || w.in[at] != '=' {
			return 0, false
		}
		at = w.space(at + 1)
		if at >= len(w.in) || w.in[at] != '"' && w.in[at] != '\'' {
			return 0, false
		}
		length := bytes.IndexByte(w.in[at+1:], w.in[at])
		if length < 0 {
			return 0, false
		}
		start, end := at+1, at+1+length
		plain, ok := unescapeXML(w.in[start:end])
		if !ok || bytes.IndexByte(w.in[start:end], '<') >= 0 {
			return 0, false
		}
		at = end + 1
		space := name == "xmlns" || strings.HasPrefix(name, "xmlns:")
		below, hit := w.m.qualified(active, name)
		switch {
		case hide:
			if space && w.shows {
				w.out = append(w.out, w.in[before:at]...)
			}
		case space:
		case hit && w.m.remove:
			w.put(before, at, "")
		case hit:
			w.put(start, end, w.m.instead(string(plain)))
		default:
			if shown, changed := w.leaf(plain, below); changed {
				w.put(start, end, escapeXML(shown))
			}
		}
	}
}

// name reads the name at in[at:]: one prefix at most.
func (w *xmlMasker) name(at int) (string, bool) {
	end := at
	for end < len(w.in) && w.in[end] > ' ' && strings.IndexByte("/>=<\"'&!?;,[]{}()", w.in[end]) < 0 {
		end++
	}
	name := string(w.in[at:end])
	colon := strings.IndexByte(name, ':')
	ok := name != "" && colon != 0 && colon != len(name)-1 && strings.Count(name, ":") <= 1 && !strings.ContainsRune("-.0123456789", rune(name[0]))
	return name, ok
}

func (w *xmlMasker) space(at int) int {
	for at < len(w.in) && (w.in[at] == ' ' || w.in[at] == '\t' || w.in[at] == '\r' || w.in[at] == '\n') {
		at++
	}
	return at
}

// qualified is follow for an element or attribute, and reports whether it is masked: by what stands behind its prefix, or
// by all of its name.
func (m *Masks) qualified(parents []*node, name string) (active []*node, hit bool) {
	local := name[strings.IndexByte(name, ':')+1:]
	active, hit = follow(parents, local)
	hit = hit || m.named([]byte(local))
	if len(local) < len(name) {
		more, end := follow(parents, name)
		for _, n := range more {
			active = reach(active, n)
		}
		hit = hit || end || m.named([]byte(name))
	}
	return active, hit
}

// isDeclaration reports whether a processing instruction is the XML declaration, in any case, which nothing else may be.
func isDeclaration(pi []byte) bool {
	return len(pi) >= 3 && strings.EqualFold(string(pi[:3]), "xml") && (len(pi) == 3 || pi[3] <= ' ')
}

// declaredEncoding returns the encoding that an XML declaration names, "" when it names none.
func declaredEncoding(declaration []byte) string {
	_, after, found := bytes.Cut(declaration, []byte("encoding"))
	if !found {
		return ""
	}
	quoted := strings.TrimLeft(string(after), " \t\r\n=")
	if quoted == "" {
		return ""
	}
	encoding, _, _ := strings.Cut(quoted[1:], quoted[:1])
	return encoding
}
