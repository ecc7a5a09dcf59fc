package kongdev

import (
	"fmt"
	"strings"
)

// normalizePath is how Kong sees a request's path: percent-encoded characters
// that are not reserved are decoded, the others' digits are upper case, dot
// segments are resolved and runs of slashes merged.
func normalizePath(path string) string {
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
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
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

func unhex(c byte) int {
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

// escapePath makes a normalized path fit for a request line again.
func escapePath(path string) string {
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

// joinUpstream is Kong's path_handling "v0": the service's path, then what the
// route left of the request's path. postfix is the path behind the matched
// prefix and counts only when strip is set.
func joinUpstream(base, path, postfix string, strip bool) string {
	if !strip {
		if strings.HasSuffix(base, "/") {
			return base + strings.TrimPrefix(path, "/")
		}
		if path == "/" {
			return base
		}
		return base + path
	}
	switch {
	case postfix == "." || postfix == "..":
		postfix = ""
	case strings.HasPrefix(postfix, "./"):
		postfix = postfix[2:]
	case strings.HasPrefix(postfix, "../"):
		postfix = postfix[3:]
	}
	if strings.HasSuffix(base, "/") {
		switch {
		case postfix == "" && (base == "/" || strings.HasSuffix(path, "/")):
			return base
		case postfix == "":
			return base[:len(base)-1]
		}
		return base + strings.TrimPrefix(postfix, "/")
	}
	switch {
	case postfix == "" && len(path) > 1 && strings.HasSuffix(path, "/"):
		return base + "/"
	case postfix == "":
		return base
	case postfix[0] == '/':
		return base + postfix
	}
	return base + "/" + postfix
}
