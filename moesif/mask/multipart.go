package mask

import (
	"bufio"
	"bytes"
	"mime"
	"net/textproto"
	"net/url"
	"regexp"
	"strings"

	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/rawjson"
)

// maxBoundary is the longest boundary (RFC 2046).
const maxBoundary = 70

// multipart masks multipart/form-data, read by the letter: what one reader could take for the end of a part and another
// not is refused. A part whose content cannot be masked, as most files, is removed.
func (m *Masks) multipart(body []byte, boundary string) (shown []byte, ok bool) {
	delimiter := []byte("\n--" + boundary)
	if boundary == "" || len(boundary) > maxBoundary || !bytes.HasPrefix(body, delimiter[1:]) {
		return nil, false
	}
	out := make([]byte, 0, len(body))
	for at := 0; ; {
		line := at + len(delimiter) - 1
		if tail, last := bytes.CutPrefix(body[line:], []byte("--")); last {
			return append(out, body[at:]...), len(bytes.TrimSpace(tail)) == 0
		}
		for line < len(body) && (body[line] == ' ' || body[line] == '\t') {
			line++
		}
		if !bytes.HasPrefix(body[line:], []byte("\r\n")) {
			return nil, false
		}
		head := line + 2
		next := bytes.Index(body[head:], delimiter)
		if next < 1 || body[head+next-1] != '\r' {
			return nil, false
		}
		next += head + 1
		header, value, found := bytes.Cut(body[head:next-2], []byte("\r\n\r\n"))
		if !found {
			return nil, false
		}
		value, keep, ok := m.part(header, value)
		if !ok {
			return nil, false
		}
		if keep {
			out = append(out, body[at:head]...)
			header, _ = m.detectIn(header) // a file's name
			out = append(out, header...)
			out = append(out, "\r\n\r\n"...)
			out = append(out, value...)
			out = append(out, "\r\n"...)
		}
		at = next
	}
}

// part masks one part of a form: with keep false, it is removed; with ok false, it cannot be read.
func (m *Masks) part(head, value []byte) (shown []byte, keep, ok bool) {
	p, ok := readPart(head)
	if !ok {
		return nil, false, false
	}
	below, hit := m.partNamed(p.name)
	switch {
	case hit:
		if m.remove {
			return nil, false, true
		}
		return []byte(m.instead(string(value))), true, true
	case !p.plain:
		return nil, false, true
	case !p.file && (p.contentType == "" || content.MediaType(p.contentType) == "text/plain"):
		if inner, changed := m.text(value, 0, below); changed {
			value = inner
		}
		return value, isText(value), true
	case content.IsJSON(p.contentType):
		compact, ok := rawjson.Compact(value)
		if !ok {
			return nil, false, true
		}
		w := jsonMasker{m: m, in: compact}
		shown, _ = w.run(nil, below)
		return shown, true, true
	case strings.HasPrefix(content.MediaType(p.contentType), "multipart/"):
		return nil, false, true
	}
	value, keep = m.Body(p.contentType, value)
	return value, keep, true
}

// partNamed is field for the name of a part. Browsers escape quotes and line ends with %, others with \, of which package
// mime leaves some.
func (m *Masks) partNamed(name string) (active []*node, hit bool) {
	plain, err := url.PathUnescape(name)
	if err != nil {
		plain = name
	}
	word, err := new(mime.WordDecoder).DecodeHeader(name) // as mail programs write it
	if err != nil {
		word = name
	}
	for _, n := range []string{strings.ReplaceAll(name, `\`, ""), plain, word, name} {
		if active, hit = m.field(n); hit {
			break
		}
	}
	return active, hit
}

// The two ways to name a part: readers differ in which one they prefer.
var simpleName, extendedName = regexp.MustCompile(`(?i);\s*name\s*=`), regexp.MustCompile(`(?i);\s*name\*`)

// A partHead is what the head of a part says.
type partHead struct {
	name        string
	file        bool
	contentType string
	plain       bool // its bytes are the content's, in a charset that can be read
}

func readPart(head []byte) (p partHead, ok bool) {
	rest := bytes.ReplaceAll(head, []byte("\r\n"), nil)
	if bytes.ContainsAny(rest, "\r\n\x00") {
		return p, false
	}
	fields, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(append(bytes.Clone(head), "\r\n\r\n"...)))).ReadMIMEHeader()
	dispositions, types, encodings := fields["Content-Disposition"], fields["Content-Type"], fields["Content-Transfer-Encoding"]
	if err != nil || len(dispositions) != 1 || len(types) > 1 || len(encodings) > 1 {
		return p, false
	}
	disposition, parameters, err := mime.ParseMediaType(dispositions[0])
	name, named := parameters["name"]
	if err != nil || disposition != "form-data" || !named || simpleName.MatchString(dispositions[0]) && extendedName.MatchString(dispositions[0]) {
		return p, false
	}
	p = partHead{name: name, plain: true}
	_, p.file = parameters["filename"]
	if len(types) == 1 {
		p.contentType = types[0]
		_, parameters, err := content.Parse(p.contentType)
		p.plain = err == nil && content.ASCIICompatible(parameters["charset"])
	}
	if len(encodings) == 1 {
		switch strings.ToLower(encodings[0]) {
		case "7bit", "8bit", "binary":
		default:
			p.plain = false
		}
	}
	return p, true
}
