package moesif

import (
	"crypto/rand"
	"encoding/hex"
	"strings"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
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

// A transactionID is what a request carries on; "" when the header is left alone.
type transactionID struct {
	value string
	ours  bool // made here, not the client's
}

// transactionID returns the client's id, or a new one.
func (c *Config) transactionID(s *settings, l *look) transactionID {
	if !s.transactionID {
		return transactionID{}
	}
	if id := clientTransactionID(l.clientID); id != "" {
		return transactionID{id, false}
	}
	id := newUUID()
	c.capture.issued.put(id, struct{}{})
	return transactionID{id, true}
}

// setTransactionID sets the header on the way to the upstream and back.
func setTransactionID(kong *pdk.PDK, id transactionID) {
	if id.ours {
		_ = pluginserver.SetServiceHeader(kong, transactionHeaderSent, id.value)
	}
	if id.value != "" {
		_ = pluginserver.SetResponseHeader(kong, transactionHeaderSent, id.value)
	}
}

// ownTransactionID returns the event's own id: the header's if we made it for this request, else a new one, so that a
// client cannot make the collector take two requests for one.
func (c *Config) ownTransactionID(header string) string {
	if _, ours := c.capture.issued.take(header); ours {
		return header
	}
	return newUUID()
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
