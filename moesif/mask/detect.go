package mask

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// detectors say which kinds of values are looked for. Each reads a text once, in time linear in its length.
type detectors struct{ card, email, jwt bool }

func (d detectors) any() bool { return d.card || d.email || d.jwt }

// A span is a part of a text.
type span struct{ start, end int }

// find returns what is found, in order and without overlaps.
func (d detectors) find(text []byte) []span {
	var found []span
	if d.card {
		found = findCards(found, text)
	}
	if d.email {
		found = findEmails(found, text)
	}
	if d.jwt {
		found = findTokens(found, text)
	}
	if len(found) < 2 {
		return found
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	merged := found[:1]
	for _, f := range found[1:] {
		if last := &merged[len(merged)-1]; f.start < last.end {
			last.end = max(last.end, f.end)
		} else {
			merged = append(merged, f)
		}
	}
	return merged
}

// detectIn replaces what is found in a text and reports whether there was something.
func (m *Masks) detectIn(text []byte) (shown []byte, changed bool) {
	spans := m.detect.find(text)
	if len(spans) == 0 {
		return text, false
	}
	from := 0
	for _, f := range spans {
		shown = append(shown, text[from:f.start]...)
		shown = append(shown, m.instead(string(text[f.start:f.end]))...)
		from = f.end
	}
	return append(shown, text[from:]...), true
}

// Card numbers have so many digits; their check digit is by Luhn's formula (ISO/IEC 7812).
const (
	minCardDigits = 13
	maxCardDigits = 19
)

// findCards finds card numbers: groups of digits with one blank or dash between them (in URLs also +, a blank's other
// form). A group is never split, so nothing inside a longer number is found.
func findCards(found []span, text []byte) []span {
	for i := 0; i < len(text); {
		if !isDigit(text[i]) {
			i++
			continue
		}
		end := 0
		if fraction := i > 1 && text[i-1] == '.' && isDigit(text[i-2]); !fraction {
			end = cardAt(text, i)
		}
		if end > 0 {
			found = append(found, span{i, end})
			i = end
			continue
		}
		for i < len(text) && isDigit(text[i]) {
			i++
		}
	}
	return found
}

// cardAt returns the end of the longest card number whose first group begins at text[i], 0 when there is none. The first
// digit tells the industry; 2 to 6 are those of payment cards, which leaves out times in milliseconds.
func cardAt(text []byte, i int) (end int) {
	if text[i] < '2' || text[i] > '6' {
		return 0
	}
	var even, odd int // Luhn's sums with every even or odd digit doubled
	digits := 0
	for ; i < len(text); i++ {
		c := text[i]
		if !isDigit(c) {
			if isSeparator(c) && i+1 < len(text) && isDigit(text[i+1]) {
				continue
			}
			return end
		}
		if digits++; digits > maxCardDigits {
			return end
		}
		d := int(c - '0')
		twice := 2 * d
		if twice > 9 {
			twice -= 9
		}
		if digits%2 == 0 {
			even, odd = even+twice, odd+d
		} else {
			even, odd = even+d, odd+twice
		}
		if i+1 < len(text) && isDigit(text[i+1]) || digits < minCardDigits {
			continue
		}
		sum := even
		if digits%2 == 0 { // counted from the right, the second digit is the first to be doubled
			sum = odd
		}
		if sum%10 == 0 {
			end = i + 1
		}
	}
	return end
}

// isCard reports whether a text is one card number without separators.
func isCard(digits []byte) bool {
	return len(digits) > 0 && isDigit(digits[0]) && cardAt(digits, 0) == len(digits)
}

func isSeparator(c byte) bool { return c == ' ' || c == '-' || c == '+' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// findEmails finds e-mail addresses: what may stand before an @, and behind it a host name with a dot. Characters beyond
// ASCII count as letters.
func findEmails(found []span, text []byte) []span {
	floor := 0
	for from := 0; ; {
		at := bytes.IndexByte(text[from:], '@')
		if at < 0 {
			return found
		}
		at += from
		from = at + 1
		start := at
		for start > floor && isLocal(text[start-1]) {
			start--
		}
		end := at + 1
		for end < len(text) && (isHost(text[end]) || text[end] == '.' && text[end-1] != '.' && text[end-1] != '@') {
			end++
		}
		for end > at+1 && (text[end-1] == '.' || text[end-1] == '-') { // the end of a sentence
			end--
		}
		dot := at + 1 + bytes.LastIndexByte(text[at+1:end], '.')
		if start < at && dot > at+1 && end-dot > 2 {
			found = append(found, span{start, end})
			floor, from = end, end
		}
	}
}

// isLocal reports whether c may stand before the @. / ' = and some others may, by the letter, and end an address in
// URLs and texts.
func isLocal(c byte) bool {
	return isHost(c) || c == '.' || c == '+' || c == '%' || c == '!' || c == '#' || c == '$' || c == '*' || c == '~' || c == '^'
}

func isHost(c byte) bool { return isBase64URL(c) || c >= 0x80 }

// findTokens finds JSON Web Tokens: three parts of base64url (five when encrypted) with dots between them, of which the
// first decodes to a JSON object. The others may be empty.
func findTokens(found []span, text []byte) []span {
	for from := 0; ; {
		dot := bytes.IndexByte(text[from:], '.')
		if dot < 0 {
			return found
		}
		dot += from
		start := dot
		for start > from && isBase64URL(text[start-1]) {
			start--
		}
		from = dot + 1
		second := partEnd(text, dot+1)
		if second >= len(text) || text[second] != '.' || !isTokenHeader(text[start:dot]) {
			continue
		}
		end := partEnd(text, second+1)
		for range 2 {
			if end < len(text) && text[end] == '.' {
				if next := partEnd(text, end+1); next > end+1 {
					end = next
				}
			}
		}
		found = append(found, span{start, end})
		from = end
	}
}

// partEnd returns the end of the part of a token that begins at text[i].
func partEnd(text []byte, i int) int {
	for i < len(text) && isBase64URL(text[i]) {
		i++
	}
	return i
}

// isTokenHeader reports whether a part decodes to a JSON object. White space before the object is tolerated.
func isTokenHeader(part []byte) bool {
	var head [3]byte
	if n, err := base64.RawURLEncoding.Decode(head[:], part[:min(len(part), 4)]); err != nil || n < 2 || !beginsObject(head) {
		return false
	}
	plain := make([]byte, base64.RawURLEncoding.DecodedLen(len(part)))
	n, err := base64.RawURLEncoding.Decode(plain, part)
	return err == nil && rawjson.IsObject(plain[:n]) && json.Valid(plain[:n])
}

// beginsObject reports whether a text that begins so can be a JSON object; most words cannot.
func beginsObject(head [3]byte) bool {
	const white = " \t\r\n"
	if head[0] == '{' {
		return strings.IndexByte(white+`"}`, head[1]) >= 0
	}
	return strings.IndexByte(white, head[0]) >= 0
}

func isBase64URL(c byte) bool {
	return isDigit(c) || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_'
}
