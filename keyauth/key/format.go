package key

import (
	"crypto/rand"
	"fmt"
	"hash/crc32"
	"strings"
)

// A key of ours is <prefix>_<secret>_<checksum>: the prefix names a product or an environment, the secret has 142
// random bits, and the checksum tells a key that was cut or mistyped from one that is unknown, without a lookup.
const (
	secretLen   = 24
	checksumLen = 6 // holds any CRC-32 in base 62
	tailLen     = 1 + secretLen + 1 + checksumLen
	maxPrefix   = 32
)

// DefaultPrefix is for keys whose owner chose none.
const DefaultPrefix = "key"

// Pattern matches keys of ours with any prefix, for leak scanners; RE2 syntax. Valid has the last word.
const Pattern = `\b[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*_[0-9A-Za-z]{24}_[0-9A-Za-z]{6}\b`

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// CheckPrefix tells whether keys may begin with prefix: letters, digits and single underscores between them.
func CheckPrefix(prefix string) error {
	ok := prefix != "" && len(prefix) <= maxPrefix && isLetter(prefix[0]) && !strings.Contains(prefix, "__") &&
		!strings.HasSuffix(prefix, "_") && allBase62(strings.ReplaceAll(prefix, "_", ""))
	if !ok {
		return fmt.Errorf("prefix: %q is not usable; want up to %d letters, digits and single underscores, a letter first", prefix, maxPrefix)
	}
	return nil
}

// New makes a key that begins with prefix.
func New(prefix string) (string, error) {
	if err := CheckPrefix(prefix); err != nil {
		return "", err
	}
	body := prefix + "_" + random(secretLen)
	return body + "_" + checksum(body), nil
}

// NewKong makes a key as Kong generates them: 32 letters and digits.
func NewKong() string { return random(32) }

// Valid reports whether key is one of ours, of any prefix, with the right checksum.
func Valid(key string) bool {
	prefix, ok := split(key)
	return ok && CheckPrefix(prefix) == nil && checksum(key[:len(key)-1-checksumLen]) == key[len(key)-checksumLen:]
}

// Malformed reports whether key begins with a prefix of ours and cannot be one of ours all the same, so that it may be
// refused without a lookup. Only ask for prefixes that no imported key begins with.
func Malformed(key, prefix string) bool {
	return strings.HasPrefix(key, prefix+"_") && !Valid(key)
}

// split returns what stands before the secret, if key has our shape.
func split(key string) (prefix string, ok bool) {
	cut := len(key) - tailLen
	if cut < 1 {
		return "", false
	}
	secret, sum := key[cut+1:cut+1+secretLen], key[len(key)-checksumLen:]
	return key[:cut], key[cut] == '_' && key[cut+1+secretLen] == '_' && allBase62(secret) && allBase62(sum)
}

func checksum(body string) string {
	var out [checksumLen]byte
	n := crc32.ChecksumIEEE([]byte(body))
	for i := range out {
		out[checksumLen-1-i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}

// random returns n letters and digits, each as likely as the others.
func random(n int) string {
	out := make([]byte, 0, n)
	for buf := make([]byte, 2*n); len(out) < n; {
		rand.Read(buf) // never fails
		for _, b := range buf {
			if b < 4*62 && len(out) < n {
				out = append(out, base62[b%62])
			}
		}
	}
	return string(out)
}

func allBase62(s string) bool {
	for i := range len(s) {
		if !isLetter(s[i]) && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func isLetter(b byte) bool { return 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z' }

// minStrong is the length below which a key may have been chosen by a person.
const minStrong = 20

// Weakness returns a warning for a key that could be guessed from its digest, or nothing.
func Weakness(key string) string {
	if len(key) >= minStrong {
		return ""
	}
	return fmt.Sprintf("the key has %d characters; below %d it can be guessed from its digest: use a generated key, or a pepper", len(key), minStrong)
}

// Hint returns what may be shown of a key: its prefix, if it is one of ours, and its last four characters. A short key
// has no hint, since four characters are a good part of it.
func Hint(key string) string {
	if len(key) < minStrong {
		return ""
	}
	last := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return '?'
		}
		return r
	}, key[len(key)-4:])
	if prefix, ok := split(key); ok && Valid(key) {
		return prefix + "_..." + last
	}
	return "..." + last
}
