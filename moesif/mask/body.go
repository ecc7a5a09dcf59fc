package mask

import (
	"slices"
	"strings"

	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/rawjson"
)

// Body masks a body that is not sent as JSON, by its media type: forms, XML, and what detectors alone can look at. With
// false, the body cannot be masked with certainty and must not be shown. Content codings are undone before.
//
// GraphQL and JSON-RPC over JSON are JSON; application/graphql has no members that could be masked by name.
func (m *Masks) Body(contentType string, body []byte) (shown []byte, ok bool) {
	if !m.Bodies() {
		return body, true
	}
	media, parameters, err := content.Parse(contentType)
	if err != nil || !content.ASCIICompatible(parameters["charset"]) {
		return nil, false
	}
	switch {
	case media == "application/x-www-form-urlencoded":
		return m.form(body)
	case media == "multipart/form-data":
		return m.multipart(body, parameters["boundary"])
	case content.IsXML(media):
		w := xmlMasker{m: m, in: body}
		shown, _, ok = w.run()
		return shown, ok
	case (strings.HasPrefix(media, "text/") || media == "application/graphql") && !m.byName() && isText(body):
		if shown, changed := m.text(body, 0, nil); changed {
			return shown, true
		}
		return body, true
	}
	return nil, false
}

// field reports whether the field of a form is masked, by its whole name or by a part of it: user[ssn], user.ssn and
// items[0][card] are written for members of members. An index in a path counts as all of them. If it is not masked, paths
// go on below it at active.
func (m *Masks) field(name string) (active []*node, hit bool) {
	name, _, _ = strings.Cut(name, "\x00") // where some readers end
	if name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")); m.named([]byte(name)) {
		return nil, true
	}
	if m.paths != nil {
		active = reach(nil, m.paths)
	}
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return r == '[' || r == ']' || r == '.' }) {
		next, hit := follow(active, part)
		if hit || m.named([]byte(part)) {
			return nil, true
		}
		if strings.Trim(part, "0123456789") == "" { // an index
			next = append(next, active...)
		}
		active = next
	}
	return active, false
}

// follow returns where paths go on below a member, for formats without arrays: an index, or all of them, may be written
// there or not. It reports whether a path ends.
func follow(active []*node, name string) (next []*node, end bool) {
	for _, n := range active {
		if c := n.names[name]; c != nil {
			next = reach(next, c)
		}
		if n.all != nil {
			next = reach(next, n.all)
		}
	}
	for _, n := range next {
		end = end || n.end
	}
	return next, end
}

// reach adds n and the nodes behind steps that may be left out, each once: a hostile body must not multiply them.
func reach(list []*node, n *node) []*node {
	if slices.Contains(list, n) {
		return list
	}
	list = append(list, n)
	if n.all != nil {
		list = reach(list, n.all)
	}
	for _, c := range n.indexes {
		list = reach(list, c)
	}
	return list
}

// isText reports whether a body has no control characters, so that it is not something compressed or in UTF-16 whose
// headers do not say so.
func isText(body []byte) bool {
	for _, c := range body {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\f' && c != 0x1b || c == 0x7f {
			return false
		}
	}
	return true
}

// asOther masks a body that is not what its type says but begins as JSON or XML: clients send JSON as a form when nobody
// tells them otherwise.
func (m *Masks) asOther(body []byte) (shown []byte, ok bool) {
	if firstByte(body) == '<' {
		w := xmlMasker{m: m, in: body}
		shown, _, ok = w.run()
		return shown, ok
	}
	compact, ok := rawjson.Compact(body)
	if !ok {
		return nil, false
	}
	shown, _ = m.JSON(nil, compact)
	return shown, true
}
