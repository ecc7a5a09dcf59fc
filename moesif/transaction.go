package moesif

import (
	"crypto/rand"
	"encoding/hex"
	"strings"
)

// transactionHeader names the header that ties a client's, an upstream's and Moesif's view of a request together.
const (
	transactionHeader     = "x-moesif-transaction-id"
	transactionHeaderSent = "X-Moesif-Transaction-Id"
	transactionVariable   = "http_x_moesif_transaction_id"
)

// maxTransactionID bounds a client's id; a longer one is replaced.
const maxTransactionID = 256

// clientTransactionID returns the id that a client sent, or "" when there is none that a header can safely carry on.
func clientTransactionID(value string) string {
	value = strings.TrimSpace(value)
	if len(value) > maxTransactionID || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return ""
	}
	return value
}

// newUUID returns a random UUID, version 4.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
