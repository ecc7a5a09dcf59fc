package moesif

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"kong-go-plugins/moesif/rawjson"
)

// hashDigits is how many hex digits of a keyed hash are shown.
const hashDigits = 32

// sessionRules say what an event's session_token shows of the accepted credential.
type sessionRules struct {
	mode  string // key, hash, id, none
	key   string // of the hash
	masks bool   // some mask is set
}

// token returns the session token of x, "" for none. event is what is written of the event so far.
//
// In mode key it is the credential's key, or else its id. With masks set, a key is sent only when the event shows it
// anyway, as the whole value of a header or argument: whatever took it out (a mask of header, query or body, or key-auth's
// hide_credentials before we could see it), it must not come back this way.
func (r sessionRules) token(x *exchange, event []byte) string {
	switch {
	case r.mode == "none":
		return ""
	case r.mode == "id" || x.credentialKey == "":
		return x.credentialID
	case r.mode == "hash":
		h := hmac.New(sha256.New, []byte(r.key))
		h.Write([]byte(x.credentialKey))
		return hex.EncodeToString(h.Sum(nil))[:hashDigits]
	case r.masks && !shows(event, x.credentialKey):
		return x.credentialID
	}
	return x.credentialKey
}

// shows reports whether the event has key as the whole value of a header or argument.
func shows(event []byte, key string) bool {
	value := rawjson.AppendString(nil, key)
	argument := append([]byte{'='}, value[1:len(value)-1]...)
	_, after, inQuery := bytes.Cut(event, argument)
	return inQuery && len(after) > 0 && (after[0] == '&' || after[0] == '"') || bytes.Contains(event, value)
}
