// Package content says what a body is: its media type, its charset, and what lies under its content codings.
package content

import (
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
)

// MediaType returns the media type of a Content-Type header in lower case, without its parameters; of a header that was
// sent twice, the first. It tolerates what is no media type.
func MediaType(header string) string {
	if i := strings.IndexAny(header, ";,"); i >= 0 {
		header = header[:i]
	}
	return strings.ToLower(strings.Trim(header, " \t"))
}

// IsJSON reports whether a Content-Type names JSON in any of its spellings; the body itself must be valid besides.
func IsJSON(header string) bool {
	media, _, _ := strings.Cut(header, ";")
	for ; len(media) >= 4; media = media[1:] {
		if strings.EqualFold(media[:4], "json") {
			return true
		}
	}
	return false
}

// IsXML reports whether a media type is one of XML's.
func IsXML(media string) bool {
	return media == "text/xml" || media == "application/xml" || strings.HasSuffix(media, "+xml")
}

// Parse reads a Content-Type strictly, for decisions that must be right: a header that was sent twice with different
// values, or that cannot be read, is refused.
func Parse(header string) (media string, parameters map[string]string, err error) {
	if first, rest, twice := strings.Cut(header, ", "); twice {
		for rest := range strings.SplitSeq(rest, ", ") {
			if rest != first {
				return "", nil, errors.New("more than one media type")
			}
		}
		header = first
	}
	media, parameters, err = mime.ParseMediaType(header)
	if err == nil && strings.ContainsAny(media, ",") {
		err = errors.New("more than one media type")
	}
	return media, parameters, err
}

// ASCIICompatible reports whether texts of a charset, as a parameter or an XML declaration names it, have the bytes of
// ASCII for ASCII's characters and for nothing else. "" counts as UTF-8.
func ASCIICompatible(charset string) bool {
	c := strings.ToLower(charset)
	return c == "" || c == "utf-8" || c == "utf8" || c == "us-ascii" || c == "ascii" || c == "latin1" ||
		strings.HasPrefix(c, "iso-8859-") || strings.HasPrefix(c, "windows-125")
}

// Types is a list of media types, compiled.
type Types struct {
	exact    map[string]bool
	families []string // "image/"
	all      bool
}

// NewTypes compiles media types such as application/pdf, image/* and */*.
func NewTypes(list []string) (Types, error) {
	t := Types{exact: make(map[string]bool)}
	for _, entry := range list {
		e := strings.ToLower(strings.TrimSpace(entry))
		family, name, ok := strings.Cut(e, "/")
		switch {
		case e == "*/*" || e == "*":
			t.all = true
		case !ok || family == "" || name == "" || strings.ContainsAny(e, " \t;,") || strings.Contains(family, "*") || strings.Contains(name, "*") && name != "*":
			return Types{}, fmt.Errorf("%q is no media type; write for instance image/* or application/pdf", entry)
		case name == "*":
			t.families = append(t.families, family+"/")
		default:
			t.exact[e] = true
		}
	}
	return t, nil
}

// Has reports whether a Content-Type is in the list. One that is absent is not.
func (t Types) Has(contentType string) bool {
	if contentType == "" {
		return false
	}
	media := MediaType(contentType)
	return t.all || t.exact[media] || slices.ContainsFunc(t.families, func(f string) bool { return strings.HasPrefix(media, f) })
}
