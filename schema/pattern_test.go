package schema

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMatchLua(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"", "", true}, {"", "x", true}, {"a", "xax", true}, {"a", "", false}, {"^a", "xa", false}, {"^", "x", true},
		{"a$", "ax", false}, {"a$", "xa", true}, {"a$b", "a$b", true}, {"^^", "^", true}, {"^$", "", true}, {"^$", "x", false},
		{".", "\n", true}, {"%.", "x", false}, {"%.", ".", true}, {"^[%w_-]+$", "a-Z_9", true}, {"^[%w_-]+$", "a b", false},
		{"^[^%s]+$", "a b", false}, {"^[]]$", "]", true}, {"^[^]]$", "]", false}, {"^[]-a]$", "^", true}, {"^[a-]$", "-", true}, {"^[a-c]$", "b", true},
		{"^[%a-z]$", "-", true}, {"^%d%d?$", "12", true}, {"^%d%d?$", "123", false}, {"^a*$", "", true}, {"^a+$", "", false}, {"^a-b$", "aaab", true},
		{"^a?a?aa$", "aa", true}, {"^(a*(.)%w(%s*))$", "aab ", true}, {"^(.)%1$", "aa", true}, {"^(.)%1$", "ab", false}, {"^()a()$", "a", true},
		{"^%b()$", "(a(b)c)", true}, {"^%b()$", "(a(b)c", false}, {"%f[%w]b", "a b", true}, {"%f[%w]b", "ab", false}, {"b%f[%z]", "ab", true}, {"b%f[%z]", "ba", false},
		{"^%x+$", "09afAF", true}, {"%u", "abc", false}, {"%U", "ABC", false}, {"%l", "ABC", false}, {"%p", "a!", true}, {"%c", "\x00", true}, {"%z", "\x00", true}, {"%a", "é", false},
		{"^https?://[^/]+", "https://x", true}, {"%%", "%", true}, {"*a", "*a", true}, {"(?)", "?", true},
	} {
		got, err := matchLua(c.pattern, c.s)
		require.NoError(t, err, c.pattern)
		assert.Equal(t, c.want, got, "%q in %q", c.pattern, c.s)
		assert.NoError(t, checkPattern(c.pattern), c.pattern)
	}
	for _, p := range []string{"%", "[", "[a", "[^", "[%", "(", ")", "(()", "%b", "%bx", "%f", "%fa", "a)", strings.Repeat("(", 33) + strings.Repeat(")", 33)} {
		assert.Error(t, checkPattern(p), p)
	}
}

// Patterns that would stall Kong end here with an error.
func TestMatchLuaIsBounded(t *testing.T) {
	t.Parallel()
	for _, p := range []string{strings.Repeat(".-", 20) + "x", strings.Repeat(".*", 20) + "x", "^" + strings.Repeat("a?", 300) + "$", "(.-)(.-)(.-)%3%2%1y"} {
		_, err := matchLua(p, strings.Repeat("a", 5000))
		assert.ErrorIs(t, err, errPatternBig)
	}
	ok, err := matchLua("^[%w-]+$", strings.Repeat("a", 500_000))
	assert.NoError(t, err)
	assert.True(t, ok)
}

// A luaMachine is Debian's lua5.1, asked line by line.
type luaMachine struct {
	in  io.Writer
	out *bufio.Reader
}

func startLua(t testing.TB) *luaMachine {
	path, err := exec.LookPath("lua5.1")
	if err != nil {
		return nil
	}
	cmd := exec.Command(path, "-e", `io.stdout:setvbuf("line")
local function unhex(h) return (h:gsub("..", function(x) return string.char(tonumber(x, 16)) end)) end
for line in io.lines() do
  local p, s = line:match("^p(%x*) s(%x*)$")
  local ok, found = pcall(string.find, unhex(s), unhex(p))
  print(ok and (found and "yes" or "no") or "error")
end`)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return &luaMachine{in, bufio.NewReader(out)}
}

func (m *luaMachine) find(t testing.TB, pattern, s string) string {
	_, err := fmt.Fprintf(m.in, "p%x s%x\n", pattern, s)
	require.NoError(t, err)
	answer, err := m.out.ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(answer)
}

// FuzzMatchLua: never a panic, a pattern that is said to be right never fails for its form, and where Debian's Lua is
// installed the answer is the same as its.
func FuzzMatchLua(f *testing.F) {
	for _, s := range [][2]string{{"^[%w_-]+$", "a-Z"}, {"(a)(b)%2%1", "abba"}, {"%f[%a]x-", "xx"}, {"[^]-%]]", "]"}, {"%b[]", "[[]"}, {"()()%1", "x"}, {"[%", "a"}, {"[a-%d]", "-"}, {"a-$", "b"}} {
		f.Add(s[0], s[1])
	}
	machine := startLua(f)
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 40 || len(s) > 40 {
			return
		}
		got, err := matchLua(pattern, s)
		wellFormed := checkPattern(pattern) == nil
		if err == errPattern && wellFormed && !strings.Contains(pattern, "%") {
			t.Errorf("%q passes the check and fails: %v", pattern, err)
		}
		if machine == nil || err == errPatternBig || strings.Contains(pattern, "\x00") {
			return // Lua 5.1 ends a pattern at a zero byte
		}
		want := machine.find(t, pattern, s)
		answer := map[bool]string{true: "yes", false: "no"}[got]
		if err != nil {
			answer = "error"
		}
		if plainFind := !strings.ContainsAny(pattern, "^$*+?.([%-"); plainFind && answer == "error" {
			return // string.find does not read such a pattern at all
		}
		if want != answer {
			t.Errorf("%q in %q: lua says %s, we say %s (%v)", pattern, s, want, answer, err)
		}
	})
}
