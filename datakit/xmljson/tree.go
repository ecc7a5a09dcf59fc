package xmljson

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A node is an element or a piece of text, or the document itself, which has no name.
type node struct {
	name    string // as written, with its prefix; empty for text and the document
	text    string // of a piece of text
	attrs   []attribute
	hasText bool // one of the children is text

	parent, first, last, previous, next *node
}

type attribute struct{ name, value string }

func (n *node) isText() bool { return n.name == "" && n.parent != nil }

func (n *node) add(child *node) {
	child.parent, child.previous = n, n.last
	if n.last == nil {
		n.first = child
	} else {
		n.last.next = child
	}
	n.last = child
}

// A reader builds the tree of one document.
type reader struct {
	d      *xml.Decoder
	limits Limits
	nodes  int
	names  map[xml.Name]string
}

// parse reads a document with exactly one outermost element. It returns the document's node.
func parse(ctx context.Context, doc []byte, limits Limits) (*node, error) {
	if len(doc) > limits.Bytes {
		return nil, fmt.Errorf("the XML has %d bytes, more than %d", len(doc), limits.Bytes)
	}
	text, err := decodeText(doc)
	if err != nil {
		return nil, err
	}
	r := &reader{d: xml.NewDecoder(bytes.NewReader(text)), limits: limits, names: map[xml.Name]string{}}
	// The text is Unicode by now, whatever its declaration says.
	r.d.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	root := &node{}
	if err := r.read(ctx, root); err != nil {
		line, column := r.d.InputPos()
		return nil, fmt.Errorf("line %d, column %d: %w", line, column, err)
	}
	return root, nil
}

func (r *reader) read(ctx context.Context, root *node) error {
	at, depth := root, 0
	for i := 1; ; i++ {
		if i%1024 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		token, err := r.d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return malformed(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			if at == root && root.first != nil {
				return errors.New("a second outermost element")
			}
			if depth++; depth > r.limits.Depth {
				return fmt.Errorf("more than %d elements inside each other", r.limits.Depth)
			}
			element, err := r.element(token)
			if err != nil {
				return err
			}
			at.add(element)
			at = element
		case xml.EndElement:
			if name, err := r.name(token.Name); err != nil || at == root || name != at.name {
				return errors.New("an end tag without its start tag")
			}
			at, depth = at.parent, depth-1
		case xml.CharData:
			if err := r.addText(at, token); err != nil {
				return err
			}
		case xml.Directive:
			return errors.New("document type definitions are refused")
		}
	}
	switch {
	case at != root:
		return errors.New("it ends inside an element")
	case root.first == nil:
		return errors.New("no element")
	}
	return nil
}

func (r *reader) element(start xml.StartElement) (*node, error) {
	if err := r.count(1 + len(start.Attr)); err != nil {
		return nil, err
	}
	name, err := r.name(start.Name)
	if err != nil || len(start.Attr) == 0 {
		return &node{name: name}, err
	}
	n := &node{name: name, attrs: make([]attribute, len(start.Attr))}
	seen := make(map[string]bool, len(start.Attr))
	for i, a := range start.Attr {
		if name, err = r.name(a.Name); err != nil {
			return nil, err
		}
		if seen[name] {
			return nil, errors.New("two attributes of one name")
		}
		seen[name] = true
		n.attrs[i] = attribute{name, a.Value}
	}
	return n, nil
}

// addText keeps a piece of text, unless it is white space before any other text of the element.
func (r *reader) addText(at *node, text []byte) error {
	blank := len(bytes.Trim(text, space)) == 0
	if at.parent == nil {
		if !blank {
			return errors.New("text outside of the outermost element")
		}
		return nil
	}
	if blank && !at.hasText {
		return nil
	}
	at.hasText = true
	at.add(&node{text: string(text)})
	return r.count(1)
}

func (r *reader) count(n int) error {
	if r.nodes += n; r.nodes > r.limits.Nodes {
		return fmt.Errorf("more than %d elements, attributes and texts", r.limits.Nodes)
	}
	return nil
}

// name joins what the decoder has split. Documents repeat few names very often, so each is made once.
func (r *reader) name(n xml.Name) (string, error) {
	joined, ok := r.names[n]
	if !ok {
		if joined = n.Local; n.Space != "" {
			joined = n.Space + ":" + n.Local
		}
		if !IsName(joined) {
			return "", errors.New("a name that is none")
		}
		r.names[n] = joined
	}
	return joined, nil
}

// space is what XML calls white space.
const space = " \t\r\n"

// malformed is what the decoder's error says, without the parts of the document it shows.
func malformed(err error) error {
	var syntax *xml.SyntaxError
	if errors.As(err, &syntax) && strings.HasPrefix(syntax.Msg, "invalid character entity") {
		return errors.New("entities other than lt, gt, amp, apos, quot and numbers are refused")
	}
	return errors.New("not well-formed XML")
}
