package declarative

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pcreError is what ngx.re.find says of a pattern that PCRE does not take, as
// Kong passes it on; "" for what is wrong only to the router's own library, or
// to Go's.
func pcreError(pattern string, err error) string {
	var wrong *syntax.Error
	if !errors.As(err, &wrong) {
		return ""
	}
	text, at := "", len(pattern)
	found := strings.Index(pattern, wrong.Expr)
	switch wrong.Code {
	case syntax.ErrMissingParen:
		text = "missing closing parenthesis"
	case syntax.ErrMissingBracket:
		text = "missing terminating ] for character class"
	case syntax.ErrTrailingBackslash:
		text = `\ at end of pattern`
	case syntax.ErrUnexpectedParen:
		text, at = "unmatched closing parenthesis", unmatchedParen(pattern)
	case syntax.ErrInvalidCharRange:
		if text = "range out of order in character class"; found >= 0 {
			at = found + len(wrong.Expr) - 1
		}
	case syntax.ErrMissingRepeatArgument, syntax.ErrInvalidRepeatOp:
		if text = "quantifier does not follow a repeatable item"; found >= 0 {
			at = found + len(wrong.Expr) - 1
		}
	case syntax.ErrInvalidRepeatSize:
		var low, high int
		if n, _ := fmt.Sscanf(wrong.Expr, "{%d,%d}", &low, &high); n < 2 || low <= high {
			return "" // a large number, which only Go minds
		}
		if text = "numbers out of order in {} quantifier"; found >= 0 {
			at = found + len(wrong.Expr) - 1
		}
	default:
		return ""
	}
	text = fmt.Sprintf(`pcre2_compile() failed: %s in "%s"`, text, pattern)
	if at < len(pattern) {
		text += fmt.Sprintf(` at "%s"`, pattern[at:])
	}
	return text
}

// unmatchedParen is where the first parenthesis closes that none has opened.
func unmatchedParen(pattern string) int {
	depth, class := 0, false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth < 0 {
				return i
			}
		}
	}
	return len(pattern)
}

// CompilePath compiles a "~" path, anchored at its start as Kong does.
func CompilePath(path string) (*regexp.Regexp, error) {
	re, err := regexp.Compile("^" + strings.ReplaceAll(path[1:], "?<", "?P<"))
	if err != nil {
		return nil, fmt.Errorf("paths: invalid regex %q: %w", path, err)
	}
	return re, nil
}

// IsRegexPath reports whether a route's path is a regular expression.
func IsRegexPath(p string) bool { return strings.HasPrefix(p, "~") }
