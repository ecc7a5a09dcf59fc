package rawjson

import "math/bits"

// Texts are searched eight bytes at a time: the highest bit of each byte of a word says whether it is one of those looked
// for. It may say so wrongly of a byte behind the first of them, never before.

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// word is the eight bytes of v from i on, the first one lowest.
func word[T Text](v T, i int) uint64 {
	_ = v[i+7]
	return uint64(v[i]) | uint64(v[i+1])<<8 | uint64(v[i+2])<<16 | uint64(v[i+3])<<24 |
		uint64(v[i+4])<<32 | uint64(v[i+5])<<40 | uint64(v[i+6])<<48 | uint64(v[i+7])<<56
}

// equal marks the first byte of w that is c, if c is ASCII and every byte before it too.
func equal(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return (w - ones) &^ w & highs
}

// asciiEnd returns the index of the first byte at or behind i that does not stand for itself in a string, or is no ASCII;
// len(v) when there is none.
func asciiEnd[T Text](v T, i int) int {
	for ; i+8 <= len(v); i += 8 {
		w := word(v, i)
		if found := equal(w, '"') | equal(w, '\\') | w&highs | (w-ones*' ')&^w&highs; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(v) && plainASCII[v[i]] {
		i++
	}
	return i
}

// quoteOrEscape returns the index of the first quote or backslash at or behind i, len(v) or more when there is none.
func quoteOrEscape[T Text](v T, i int) int {
	for ; i+8 <= len(v); i += 8 {
		w := word(v, i)
		if found := equal(w, '"') | equal(w, '\\'); found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for i < len(v) && v[i] != '"' && v[i] != '\\' {
		i++
	}
	return i
}

// plainASCII are the ASCII bytes that stand for themselves in a string.
var plainASCII = func() (p [256]bool) { // read-only
	for c := range p {
		p[c] = c >= ' ' && c < 0x80 && c != '"' && c != '\\'
	}
	return p
}()
