package keyauth

import (
	"mime"
	"strings"
)

// A part is one of a multipart body: its form name, its content, and where it stands, delimiter included.
type part struct {
	name, content string
	begin, end    int
}

// eachPart yields the parts of a multipart body that have a form name. What stands before the first delimiter and behind
// the closing one is no part; a part without a delimiter behind it ends with the body.
// Source: RFC 2046, 5.1.1, with bare line feeds taken for line ends.
func eachPart(body, boundary string) func(yield func(part) bool) {
	delimiter := "--" + boundary
	return func(yield func(part) bool) {
		at, content, closing := nextDelimiter(body, 0, delimiter)
		for at >= 0 && !closing {
			next, nextContent, last := nextDelimiter(body, content, delimiter)
			end := next
			if next < 0 {
				end = len(body)
			}
			name, text := readPart(body[content:end])
			if name != "" && !yield(part{name, text, at, end}) {
				return
			}
			at, content, closing = next, nextContent, last
		}
	}
}

// nextDelimiter finds the next line that is a delimiter: where it begins, where the line behind it begins, and whether
// it is the closing one. at is -1 when there is none.
func nextDelimiter(body string, from int, delimiter string) (at, content int, closing bool) {
	for i := from; i < len(body); {
		end := strings.IndexByte(body[i:], '\n')
		next := len(body)
		if end >= 0 {
			next = i + end + 1
		}
		if rest, ok := strings.CutPrefix(body[i:next], delimiter); ok {
			rest = strings.TrimRight(rest, " \t\r\n")
			if rest == "" || rest == "--" {
				return i, next, rest != ""
			}
		}
		i = next
	}
	return -1, 0, false
}

// readPart splits what stands between two delimiters into the form name in its headers and its content.
func readPart(text string) (name, content string) {
	for {
		line, rest, ok := strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		if !ok {
			return name, ""
		}
		if text = rest; line == "" {
			break
		}
		if field, v, _ := strings.Cut(line, ":"); strings.EqualFold(strings.TrimSpace(field), "content-disposition") {
			name = formName(v)
		}
	}
	return name, strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r")
}

// formName is the parameter name of a Content-Disposition.
func formName(disposition string) string {
	kind, parameters, err := mime.ParseMediaType(disposition)
	if err != nil || kind != "form-data" {
		return ""
	}
	return parameters["name"]
}

// partValue finds a part; file parts count as values, too.
func partValue(body, boundary, name string) (v value) {
	for p := range eachPart(body, boundary) {
		if p.name != name {
			continue
		}
		if v.kind != absent {
			return value{kind: several}
		}
		v = value{single, p.content}
	}
	return v
}

// withoutPart cuts the parts of a name out of a multipart body.
func withoutPart(body, boundary, name string) (out string, ok bool) {
	var b strings.Builder
	kept := 0
	for p := range eachPart(body, boundary) {
		if p.name == name {
			b.WriteString(body[kept:p.begin])
			kept, ok = p.end, true
		}
	}
	if !ok {
		return "", false
	}
	b.WriteString(body[kept:])
	return b.String(), true
}
