package remote

import (
	"slices"
	"strings"

	"kong-go-plugins/moesif/rawjson"
)

// unknown stands for a declared variable without a value.
const unknown = "UNKNOWN"

// A template is a text in which {{name}} and {{name|default}} stand for the values of declared variables. Values are
// never looked into again. What is not declared stays as it is.
type template []piece

// A piece is literal text, then a variable, if it has a name.
type piece struct {
	literal  string
	variable string
	fallback string
}

// parseTemplate is linear in the text: a placeholder begins at the last {{ before the next }}.
func parseTemplate(s string, declared map[string]bool) (t template) {
	literal := 0
	for i := 0; ; {
		end := strings.Index(s[i:], "}}")
		if end < 0 {
			break
		}
		end += i
		start := strings.LastIndex(s[i:end], "{{")
		if start >= 0 {
			start += i
			name, fallback, given := strings.Cut(s[start+2:end], "|")
			if !given {
				fallback = unknown
			}
			if declared[name] {
				t = append(t, piece{literal: s[literal:start], variable: name, fallback: fallback})
				literal = end + 2
			}
		}
		i = end + 2
	}
	if literal < len(s) {
		t = append(t, piece{literal: s[literal:]})
	}
	return t
}

// constant reports whether there is no variable in it.
func (t template) constant() bool {
	return !slices.ContainsFunc(t, func(p piece) bool { return p.variable != "" })
}

// appendTo appends the text with its values, in JSON's escapes where asked for, and reports whether that stays within
// limit bytes.
func (t template) appendTo(dst []byte, value func(string) (string, bool), escaped bool, limit int) ([]byte, bool) {
	for _, p := range t {
		dst = append(dst, p.literal...)
		if p.variable != "" {
			v, ok := value(p.variable)
			if !ok {
				v = p.fallback
			}
			if len(dst)+len(v) > limit {
				return nil, false
			}
			if escaped {
				dst = appendEscaped(dst, v)
			} else {
				dst = append(dst, v...)
			}
		}
		if len(dst) > limit {
			return nil, false
		}
	}
	return dst, true
}

// appendEscaped appends s as it stands inside a JSON string.
func appendEscaped(dst []byte, s string) []byte {
	quoted := rawjson.AppendString(nil, s)
	return append(dst, quoted[1:len(quoted)-1]...)
}

// parseJSONTemplate makes a template of the strings of a compact JSON text, at any depth. The names of members stay as
// they are, placeholders included: a value must not decide which members there are.
func parseJSONTemplate(v []byte, declared map[string]bool) (t template) {
	literal := 0
	for i := 0; i < len(v); i++ {
		if v[i] != '"' {
			continue
		}
		end := rawjson.StringEnd(v, i)
		if end == len(v) || v[end] != ':' {
			if inner := parseTemplate(rawjson.Unquote(v[i:end]), declared); !inner.constant() {
				before := string(v[literal : i+1])
				for _, p := range inner {
					p.literal = before + string(appendEscaped(nil, p.literal))
					t, before = append(t, p), ""
				}
				literal = end - 1
			}
		}
		i = end - 1
	}
	if literal < len(v) {
		t = append(t, piece{literal: string(v[literal:])})
	}
	return t
}

// isJSONText reports whether a text is itself a JSON object or array.
func isJSONText(s string) bool {
	s = strings.TrimLeft(s, " \t\r\n")
	return s != "" && (s[0] == '{' || s[0] == '[') && rawjson.Valid([]byte(s))
}
