// Package key knows API keys: how they are hashed for storage and lookup, how new ones are made, and what of a key may
// be shown. A key in clear passes through it and is never kept.
package key

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Digest is what stores are searched by: the SHA-256 or the HMAC-SHA-256 of a key. An API key of ours has more than
// 128 random bits, so a fast hash without salt is enough; a slow one on every request would help attackers, not users.
type Digest [sha256.Size]byte

// Equal compares in constant time: all of both is looked at, whatever differs. It goes by words, because crypto/subtle goes
// by bytes, which takes as long as all the rest of a lookup.
func (d Digest) Equal(o Digest) bool {
	var differ uint64
	for i := 0; i < len(d); i += 8 {
		differ |= binary.LittleEndian.Uint64(d[i:]) ^ binary.LittleEndian.Uint64(o[i:])
	}
	return differ == 0
}

// Algorithms, as they stand in a stored digest.
const (
	SHA256     = "sha256"      // without a pepper
	HMACSHA256 = "hmac-sha256" // with one
)

// A Stored is a digest with what it was made by. Its text, which is what stores keep, is algorithm:pepper:digest.
type Stored struct {
	Algorithm string // SHA256 or HMACSHA256
	Pepper    string // the pepper's id; empty for SHA256
	Digest    Digest
}

var encoding = base64.RawURLEncoding.Strict() // one text for each digest

// String returns for instance sha256::n4bQgYhMfWWaL-qgxVrQFaO_TxsrC4Is0V1sFbDwCgg.
func (s Stored) String() string {
	return s.Algorithm + ":" + s.Pepper + ":" + encoding.EncodeToString(s.Digest[:])
}

// MarshalText makes a Stored usable in JSON and YAML.
func (s Stored) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Stored) UnmarshalText(text []byte) (err error) {
	*s, err = ParseStored(string(text))
	return err
}

// ParseStored reads the text of a stored digest. Its errors do not repeat the text, which may be a key put in the
// wrong place.
func ParseStored(text string) (s Stored, err error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return s, errors.New("is no stored digest; want sha256::<43 characters> or hmac-sha256:<pepper id>:<43 characters>")
	}
	switch {
	case parts[0] == SHA256 && parts[1] != "":
		return s, errors.New("sha256 takes no pepper id; want sha256::<43 characters>")
	case parts[0] == HMACSHA256 && !isPepperID(parts[1]):
		return s, errors.New("the pepper id is not 8 hexadecimal digits; want hmac-sha256:<pepper id>:<43 characters>")
	case parts[0] != SHA256 && parts[0] != HMACSHA256:
		return s, errors.New("the algorithm is unknown; want sha256 or hmac-sha256")
	}
	d, err := encoding.DecodeString(parts[2])
	if err != nil || len(d) != sha256.Size {
		return s, errors.New("the digest is not 43 characters of unpadded base64url (32 bytes)")
	}
	return Stored{Algorithm: parts[0], Pepper: parts[1], Digest: Digest(d)}, nil
}

// minPepper is what a pepper must have, in bytes: less could be searched as quickly as a short key.
const minPepper = 16

// A Hasher turns keys into digests. The zero value uses plain SHA-256. It is safe for concurrent use.
type Hasher struct{ peppers []pepper } // current first

type pepper struct {
	id     string
	secret []byte
}

// NewHasher returns a Hasher for the pepper in use, which may be empty, and those that stored digests may still be made
// with, in the order to try.
func NewHasher(current string, previous ...string) (*Hasher, error) {
	h := &Hasher{}
	if current == "" && len(previous) > 0 {
		return nil, errors.New("previous_peppers: there is no pepper; name the pepper in use, or remove the previous ones")
	}
	if current == "" {
		return h, nil
	}
	for i, secret := range append([]string{current}, previous...) {
		field := "pepper"
		if i > 0 {
			field = fmt.Sprintf("previous_peppers[%d]", i)
		}
		if len(secret) < minPepper {
			return nil, fmt.Errorf("%s: %d bytes are too few; use at least %d random ones, for instance from openssl rand -base64 32",
				field, len(secret), minPepper)
		}
		p := pepper{id: pepperID(secret), secret: []byte(secret)}
		if slices.ContainsFunc(h.peppers, func(o pepper) bool { return o.id == p.id }) {
			return nil, fmt.Errorf("%s: this pepper is listed twice", field)
		}
		h.peppers = append(h.peppers, p)
	}
	return h, nil
}

// pepperID names a pepper without giving it away: the first bytes of an HMAC under it.
func pepperID(secret string) string {
	d := sum(pepper{secret: []byte(secret)}, []byte("pepper id"))
	return hex.EncodeToString(d[:4])
}

func isPepperID(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == 4 && strings.ToLower(s) == s
}

// Digests returns what key may be stored under, the likeliest first: with each pepper, then without one, so that keys
// that were stored before there was a pepper go on working.
func (h *Hasher) Digests(key []byte) []Digest {
	digests := make([]Digest, 0, len(h.peppers)+1)
	for _, p := range h.peppers {
		digests = append(digests, sum(p, key))
	}
	return append(digests, sha256.Sum256(key))
}

// Also returns what key may be stored under besides what Hash returns.
func (h *Hasher) Also(key []byte) []Digest {
	if len(h.peppers) == 0 {
		return nil
	}
	return h.Digests(key)[1:]
}

// Hash returns what a new key is to be stored under.
func (h *Hasher) Hash(key []byte) Stored {
	if len(h.peppers) == 0 {
		return Stored{Algorithm: SHA256, Digest: sha256.Sum256(key)}
	}
	p := h.peppers[0]
	return Stored{Algorithm: HMACSHA256, Pepper: p.id, Digest: sum(p, key)}
}

// Knows reports whether a key can be found under s: its pepper, if any, is one of h's.
func (h *Hasher) Knows(s Stored) bool {
	return s.Algorithm == SHA256 || slices.ContainsFunc(h.peppers, func(p pepper) bool { return p.id == s.Pepper })
}

func sum(p pepper, key []byte) (d Digest) {
	mac := hmac.New(sha256.New, p.secret)
	mac.Write(key)
	mac.Sum(d[:0])
	return d
}
