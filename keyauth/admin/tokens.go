package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
)

// minToken is what a token must have, in bytes: it stands between the network and all keys.
const minToken = 20

// tokens are the secrets that requests may carry. The zero value lets everybody in; only a unix socket has that.
type tokens []token

type token struct {
	name string
	sum  [sha256.Size]byte
}

// readTokens reads a file with a token a line, each with a name before it: "ci 8f3a...". Lines that begin with # and
// empty ones do not count. Errors show no token.
func readTokens(path string) (list tokens, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-token-file: %w", err)
	}
	names := map[string]bool{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		name := "token"
		if len(words) == 2 {
			name = words[0]
		}
		secret := words[len(words)-1]
		switch {
		case len(words) > 2:
			return nil, fmt.Errorf("-token-file: line %d has %d words; write a name and a token", i+1, len(words))
		case len(secret) < minToken:
			return nil, fmt.Errorf("-token-file: line %d: the token has %d characters and needs %d; make one by: openssl rand -hex 24", i+1, len(secret), minToken)
		case names[name]:
			return nil, fmt.Errorf("-token-file: line %d: there is a token of this name already", i+1)
		}
		names[name] = true
		list = append(list, token{name, sha256.Sum256([]byte(secret))})
	}
	if len(list) == 0 {
		return nil, errors.New("-token-file: the file holds no token")
	}
	return list, nil
}

// who returns the name of the token. All are compared, so that the time says nothing.
func (t tokens) who(secret string) (name string, ok bool) {
	sum := sha256.Sum256([]byte(secret))
	for _, known := range t {
		if subtle.ConstantTimeCompare(sum[:], known.sum[:]) == 1 {
			name, ok = known.name, true
		}
	}
	return name, ok
}

// guard lets requests with a token through, and says who sent them. Without tokens it is who the connection says.
func (t tokens) guard(next http.Handler, refused func(r *http.Request, status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(t) > 0 {
			name, ok := t.who(sent(r))
			if !ok {
				refused(r, http.StatusUnauthorized)
				w.Header().Set("WWW-Authenticate", "Bearer")
				write(w, answer{401, message(401, "a token is needed, in the header Kong-Admin-Token or as Authorization: Bearer").body()})
				return
			}
			r = r.WithContext(context.WithValue(r.Context(), who{}, name))
		}
		next.ServeHTTP(w, r)
	})
}

// sent is the token of a request, in the header of Kong's or in the usual one.
func sent(r *http.Request) string {
	if t := r.Header.Get("Kong-Admin-Token"); t != "" {
		return t
	}
	if scheme, t, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		return strings.TrimSpace(t)
	}
	return ""
}
