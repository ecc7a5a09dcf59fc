package moesif

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"kong-go-plugins/moesif/rawjson"
)

// readToken finds the ids in the value of an authorization header: Basic credentials, a JWT (with or without Bearer), or
// base64 of a JSON object. No signature is checked: Kong's authentication plugins do that; here a token only says under
// whose name an event is shown. A value that is none of these gives nothing.
func readToken(value, userClaim, companyClaim string) (user, company string) {
	if value = strings.TrimSpace(value); value == "" {
		return "", ""
	}
	if credentials, ok := cutScheme(value, "Basic"); ok {
		plain, ok := decodeBase64(credentials)
		if !ok {
			return "", ""
		}
		name, _, found := strings.Cut(string(plain), ":")
		if !found {
			return "", ""
		}
		return strings.ToValidUTF8(name, "\ufffd"), ""
	}
	token, _ := cutScheme(value, "Bearer")
	if parts := strings.SplitN(token, ".", 3); len(parts) > 1 {
		token = parts[1]
	}
	claims, ok := decodeBase64(token)
	if !ok || !rawjson.IsObject(claims) || !rawjson.Valid(claims) {
		return "", ""
	}
	return findClaim(claims, userClaim), findClaim(claims, companyClaim)
}

// decodeBase64 reads the standard and the URL-safe alphabet, also mixed, with or without padding.
func decodeBase64(s string) ([]byte, bool) {
	s = strings.TrimRight(strings.TrimSpace(s), "=")
	if strings.ContainsAny(s, "\r\n") { // the decoder would skip them
		return nil, false
	}
	plain, err := base64.RawURLEncoding.DecodeString(strings.NewReplacer("+", "-", "/", "_").Replace(s))
	return plain, err == nil && len(plain) > 0
}

// findClaim looks a claim up by its exact name, then in any case, then as a path with dots. A text, a number with its
// digits as they are, or a boolean is taken; anything else counts as absent.
func findClaim(claims []byte, name string) string {
	if name == "" {
		return ""
	}
	exact, folded := member(claims, name)
	for _, v := range [][]byte{exact, folded} {
		if s := claimText(v); s != "" {
			return s
		}
	}
	for v, rest := claims, name; ; {
		segment, after, more := strings.Cut(rest, ".")
		if !more && rest == name {
			return "" // no path
		}
		exact, folded := member(v, segment)
		if v = exact; v == nil {
			v = folded
		}
		if v == nil || !more {
			return claimText(v)
		}
		rest = after
	}
}

// member returns the members of that exact name and of that name in another case; of several the last, as other readers
// of tokens take it.
func member(object []byte, name string) (exact, folded []byte) {
	rawjson.Members(object, func(n string, v []byte) {
		switch {
		case n == name:
			exact = v
		case strings.EqualFold(n, name):
			folded = v
		}
	})
	return exact, folded
}

// claimText returns a scalar as text, "" for everything else.
func claimText(v []byte) string {
	switch {
	case len(v) == 0 || !utf8.Valid(v):
		return ""
	case v[0] == '"':
		return strings.TrimSpace(rawjson.Unquote(v))
	case v[0] == '-' || v[0] >= '0' && v[0] <= '9':
		return string(v)
	}
	if b, err := strconv.ParseBool(string(v)); err == nil {
		return strconv.FormatBool(b)
	}
	return "" // null, an object, a list
}
