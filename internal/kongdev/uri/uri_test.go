package uri

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNormalizePath(t *testing.T) {
	tests := map[string]string{
		"":                 "",
		"/":                "/",
		"/a/b":             "/a/b",
		"/a//b///c":        "/a/b/c",
		"/a/./b/../c":      "/a/c",
		"/../../a":         "/a",
		"/a/..":            "/",
		"/a/.":             "/a/",
		"/a/%2e%2E/b":      "/b",
		"/%7euser/%2fx":    "/~user/%2Fx",
		"/%41%e4%bd%a0":    "/A你",
		"/%zz/%4":          "/%zz/%4",
		"/a.b/c..d/...":    "/a.b/c..d/...",
		"/a/b/../../../..": "/",
	}
	for in, want := range tests {
		assert.Equal(t, want, NormalizePath(in), in)
	}
}

// A normalized path names one place: normalizing it again changes nothing but
// what double encoding hid, and no dot segment or empty segment is left.
func FuzzNormalizePath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e/x", "//x//", "/a%2fb", "/%", "..", "./x", "/.."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !strings.HasPrefix(s, "/") {
			s = "/" + s
		}
		n := NormalizePath(s)
		if n == "" {
			return
		}
		for _, bad := range []string{"//", "/./", "/../"} {
			if strings.Contains(n, bad) {
				t.Fatalf("NormalizePath(%q) = %q holds %q", s, n, bad)
			}
		}
		if strings.HasSuffix(n, "/.") || strings.HasSuffix(n, "/..") {
			t.Fatalf("NormalizePath(%q) = %q ends in a dot segment", s, n)
		}
		for _, c := range []byte(EscapePath(n)) {
			if c <= ' ' || c >= 0x7f {
				t.Fatalf("EscapePath(%q) leaves byte %#x", n, c)
			}
		}
	})
}
