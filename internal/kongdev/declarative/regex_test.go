package declarative

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// Texts as the regular expression library in Kong 3.9 and its binding to Lua
// compose them.
func TestRegexTexts(t *testing.T) {
	for pattern, want := range map[string]string{
		`/foo(`:       `invalid regex: '/foo(' (PCRE returned: pcre2_compile() failed: missing closing parenthesis in "/foo(")`,
		`/foo)b`:      `invalid regex: '/foo)b' (PCRE returned: pcre2_compile() failed: unmatched closing parenthesis in "/foo)b" at ")b")`,
		`/(a)[)]b))`:  `invalid regex: '/(a)[)]b))' (PCRE returned: pcre2_compile() failed: unmatched closing parenthesis in "/(a)[)]b))" at "))")`,
		`/[a`:         `invalid regex: '/[a' (PCRE returned: pcre2_compile() failed: missing terminating ] for character class in "/[a")`,
		`/[z-a]`:      `invalid regex: '/[z-a]' (PCRE returned: pcre2_compile() failed: range out of order in character class in "/[z-a]" at "a]")`,
		`/(*)x`:       `invalid regex: '/(*)x' (PCRE returned: pcre2_compile() failed: quantifier does not follow a repeatable item in "/(*)x" at "*)x")`,
		`/a{37,17}`:   `invalid regex: '/a{37,17}' (PCRE returned: pcre2_compile() failed: numbers out of order in {} quantifier in "/a{37,17}" at "}")`,
		`/a\`:         `invalid regex: '/a\' (PCRE returned: pcre2_compile() failed: \ at end of pattern in "/a\")`,
		`/a(?=b)`:     "Router Expression failed validation: invalid or unsupported Perl syntax: `(?=`",
		`/(?<id>\d+)`: "",
	} {
		assert.Equal(t, want, (&loader{v3: true}).checkRoutePath("~"+pattern), pattern)
	}
}
