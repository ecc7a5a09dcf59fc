package xmljson

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// charsets are the encodings of one byte per character that are read, by the name of the declaration in lower case;
// read-only. Others are rare in services, and their tables would be the largest part of the program.
var charsets = map[string]*charmap.Charmap{
	"iso-8859-1":   charmap.ISO8859_1,
	"iso-8859-2":   charmap.ISO8859_2,
	"iso-8859-15":  charmap.ISO8859_15,
	"latin1":       charmap.ISO8859_1,
	"windows-1250": charmap.Windows1250,
	"windows-1251": charmap.Windows1251,
	"windows-1252": charmap.Windows1252,
}

// declared finds the encoding in an XML declaration.
var declared = regexp.MustCompile(`^<\?xml\s[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// decodeText returns doc in UTF-8, without a byte order mark. What is valid UTF-8 is taken as that, whatever its
// declaration says: a text that came through other programs is no longer in the encoding it once declared.
func decodeText(doc []byte) ([]byte, error) {
	switch {
	case bytes.HasPrefix(doc, []byte("\xff\xfe")):
		return fromUTF16(doc[2:], 0)
	case bytes.HasPrefix(doc, []byte("\xfe\xff")):
		return fromUTF16(doc[2:], 1)
	}
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if utf8.Valid(doc) {
		return doc, nil
	}
	if m := declared.FindSubmatch(doc[:min(len(doc), 256)]); m != nil {
		if c := charsets[strings.ToLower(string(m[1]))]; c != nil {
			return c.NewDecoder().Bytes(doc)
		}
	}
	return nil, errors.New("the XML is not UTF-8, and it declares no encoding that is known here; known are UTF-16 with " +
		"a byte order mark, ISO-8859-1, -2, -15, windows-1250, -1251 and -1252")
}

// fromUTF16 decodes UTF-16 whose units have their low byte at index low.
func fromUTF16(b []byte, low int) ([]byte, error) {
	if len(b)%2 != 0 {
		return nil, errors.New("the XML is UTF-16 and ends inside a character")
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i+low])
		units[i] |= uint16(b[2*i+1-low]) << 8
	}
	return []byte(string(utf16.Decode(units))), nil
}
