package keyauth

import "strings"

// withoutArg cuts the arguments of a name out of a query or form, every other byte as it was; ok is false when there is
// none.
func withoutArg(args, name string) (out string, ok bool) {
	for part := range strings.SplitSeq(args, "&") {
		if ok = isArg(part, name); ok {
			break
		}
	}
	if !ok {
		return "", false
	}
	var b strings.Builder
	first := true
	for part := range strings.SplitSeq(args, "&") {
		if isArg(part, name) {
			continue
		}
		if !first {
			b.WriteByte('&')
		}
		first = false
		b.WriteString(part)
	}
	return b.String(), true
}

func isArg(part, name string) bool {
	raw, _, _ := strings.Cut(part, "=")
	return isEscaped(raw, name)
}
