package datakit

import (
	"encoding/json"
	"fmt"
	"math/big"
)

// maxNumber is the most characters of a number that a client, a service or a program may bring. The time to count with a
// number grows with the square of its length, and no deadline ends it: one of 4 million digits takes half a minute.
const maxNumber = 1000

var errLongNumber error = plainError(fmt.Sprintf("a number has more than %d characters", maxNumber))

// hasLongNumber reports whether v, which was read from text, holds a number that is too long.
func hasLongNumber(text []byte, v any) bool {
	return hasLongDigits(text) && holdsLongNumber(v)
}

// hasLongDigits reports whether text has more than maxNumber digits in a row, be it in a number or in a string. It looks
// at one byte in many: every such row has one of those.
func hasLongDigits(text []byte) bool {
	isPart := func(i int) bool {
		c := text[i]
		return c >= '0' && c <= '9' || c == '.' || c == 'e' || c == 'E' || c == '-' || c == '+'
	}
	for i := maxNumber; i < len(text); i += maxNumber {
		if !isPart(i) {
			continue
		}
		first, last := i, i
		for first > 0 && isPart(first-1) {
			first--
		}
		for last+1 < len(text) && isPart(last+1) {
			last++
		}
		if last-first >= maxNumber {
			return true
		}
	}
	return false
}

func holdsLongNumber(v any) bool {
	switch v := v.(type) {
	case json.Number:
		return len(v) > maxNumber
	case []any:
		for _, e := range v {
			if holdsLongNumber(e) {
				return true
			}
		}
	case map[string]any:
		for _, e := range v {
			if holdsLongNumber(e) {
				return true
			}
		}
	}
	return false
}

// maxDepth is how deep a program's result may be nested. Go ends the whole process when a function that calls itself for
// each level runs out of stack.
const maxDepth = 10_000

// checkResult refuses a value that a program has made too large, in bytes, about, or too deep.
func checkResult(v any, most int) error {
	left := most
	if fits(v, &left, maxDepth) {
		return nil
	}
	if left < 0 {
		return plainError(fmt.Sprintf("the result is larger than %d bytes (max_body_bytes)", most))
	}
	return errTooDeep
}

var errTooDeep error = plainError(fmt.Sprintf("the result is nested deeper than %d levels", maxDepth))

// fits counts the bytes of a value, about, down from left, and its levels down from depth.
func fits(v any, left *int, depth int) bool {
	switch v := v.(type) {
	case string:
		*left -= len(v)
	case []any:
		*left -= len(v)
		for _, e := range v {
			if *left < 0 || depth == 0 || !fits(e, left, depth-1) {
				return false
			}
		}
	case map[string]any:
		for key, e := range v {
			*left -= len(key) + 4
			if *left < 0 || depth == 0 || !fits(e, left, depth-1) {
				return false
			}
		}
	case *big.Int:
		*left -= v.BitLen() / 3
	default:
		*left -= 4
	}
	return *left >= 0
}
