package declarative

import (
	"crypto/sha1" // RFC 9562 defines version 5 with it; nothing is protected by it
	"encoding/hex"
	"strings"
)

// EntityNamespace is the namespace of Kong's name-based ids: a file without ids
// gets the same ids in Kong and here.
const EntityNamespace = "fd02801f-0957-4a15-a55a-c8d9606f30b5"

// UUIDv5 is the version 5 UUID of name in namespace, which must be a UUID.
func UUIDv5(namespace, name string) string {
	ns, _ := hex.DecodeString(strings.ReplaceAll(namespace, "-", ""))
	h := sha1.New()
	h.Write(ns)
	h.Write([]byte(name))
	u := h.Sum(nil)[:16]
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	s := hex.EncodeToString(u)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// EntityID is the id that Kong's declarative loader gives to an entity of a
// kind ("routes", "services"...) that is known by key.
func EntityID(kind, key string) string {
	return UUIDv5(UUIDv5(EntityNamespace, kind), key)
}

// IsUUID reports whether s is 8-4-4-4-12 hexadecimal digits, the only form
// Kong takes.
func IsUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return true
}
