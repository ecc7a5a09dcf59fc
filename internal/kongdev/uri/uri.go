// Package uri holds Kong's and nginx's rules for the text of an address: paths, request targets, arguments, host and port.
package uri

import (
	"fmt"
	"strconv"
	"strings"
)

// NormalizePath is how Kong sees a request's path: percent-encoded characters
// that are not reserved are decoded, the others' digits are upper case, dot
// segments are resolved and runs of slashes merged.
func NormalizePath(path string) string {
	if path == "" || path == "/" {
		return path
	}
	if strings.Contains(path, "%") {
		path = decodeUnreserved(path)
	}
	if !strings.Contains(path, ".") && !strings.Contains(path, "//") {
		return path
	}
	var out []string
	drop := func() {
		if len(out) > 0 {
			out = out[:len(out)-1]
		}
	}
	for path != "" {
		switch {
		case path == "/.":
			path = "/"
		case path == "/..":
			path = "/"
			drop()
		case path == "." || path == "..":
			path = ""
		case strings.HasPrefix(path, "../"):
			path = path[3:]
		case strings.HasPrefix(path, "./"):
			path = path[2:]
		case strings.HasPrefix(path, "/./"):
			path = path[2:]
		case strings.HasPrefix(path, "/../"):
			path = path[3:]
			drop()
		case strings.HasPrefix(path, "//"):
			path = path[1:]
		default:
			end := strings.IndexByte(path[1:], '/') + 1
			if end == 0 {
				end = len(path)
			}
			out = append(out, path[:end])
			path = path[end:]
		}
	}
	return strings.Join(out, "")
}

// decodeUnreserved decodes every percent triplet but those of RFC 3986's
// reserved characters and the percent sign.
func decodeUnreserved(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+2 >= len(s) {
			b.WriteByte(s[i])
			continue
		}
		hi, lo := Unhex(s[i+1]), Unhex(s[i+2])
		if hi < 0 || lo < 0 {
			b.WriteByte(s[i])
			continue
		}
		c := byte(hi<<4 | lo)
		if strings.IndexByte("!*'();:@&=+$,/?%#[]", c) >= 0 {
			b.WriteString(strings.ToUpper(s[i : i+3]))
		} else {
			b.WriteByte(c)
		}
		i += 2
	}
	return b.String()
}

// Unhex is the value of a hexadecimal digit, -1 for any other byte.
func Unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// EscapePath makes a normalized path fit for a request line again.
func EscapePath(path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9',
			strings.IndexByte("!#$&'()*+,/:;=?@[]-_.~%", c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// SplitHostPort splits at the first colon when a number follows it.
func SplitHostPort(s string) (host string, port int) {
	name, number, ok := strings.Cut(s, ":")
	if !ok {
		return s, 0
	}
	n, err := strconv.Atoi(number)
	if err != nil {
		return s, 0
	}
	return name, n
}

// OriginForm is a request target without the scheme and host that clients may
// put before it, as in nginx's $request_uri.
func OriginForm(target string) string {
	if strings.HasPrefix(target, "/") {
		return target
	}
	_, rest, absolute := strings.Cut(target, "://")
	if !absolute {
		return target
	}
	at := strings.IndexAny(rest, "/?")
	switch {
	case at < 0:
		return "/"
	case rest[at] == '?':
		return "/" + rest[at:]
	}
	return rest[at:]
}

// UnescapeArg decodes percent triplets and pluses, and leaves broken ones alone.
func UnescapeArg(s string) string {
	if !strings.ContainsAny(s, "%+") {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '+' {
			c = ' '
		} else if c == '%' && i+2 < len(s) && Unhex(s[i+1]) >= 0 && Unhex(s[i+2]) >= 0 {
			c = byte(Unhex(s[i+1])<<4 | Unhex(s[i+2]))
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

// UnescapePath decodes every valid triplet, as nginx does for its uri.
func UnescapePath(s string) string {
	return strings.ReplaceAll(UnescapeArg(strings.ReplaceAll(s, "+", "%2B")), "\x00", "")
}
