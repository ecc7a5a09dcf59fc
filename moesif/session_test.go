package moesif

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// D18: the credential's key, else its id, unless a setting wants another form of it.
func TestSessionTokenModeD18(t *testing.T) {
	hash := func(key, text string) string {
		h := hmac.New(sha256.New, []byte(key))
		h.Write([]byte(text))
		return hex.EncodeToString(h.Sum(nil))[:32]
	}
	const mask = `,"request_header_masks":["apikey"]`
	for _, c := range []struct{ name, config, key, want string }{
		{"key", ``, "k-1", "k-1"},
		{"key, none there", ``, "", "c-1"},
		{"key, masked", mask, "k-1", "c-1"},
		{"key, with a detector set", `,"mask_detectors":["jwt"]`, "hidden", "c-1"},
		{"hash", `,"session_token_mode":"hash"`, "k-1", hash("app", "k-1")},
		{"hash under a key of its own", `,"session_token_mode":"hash","mask_hash_key":"salt"`, "k-1", hash("salt", "k-1")},
		{"hash, masked: it shows nothing", `,"session_token_mode":"hash"` + mask, "k-1", hash("app", "k-1")},
		{"hash, no key there", `,"session_token_mode":"hash"`, "", "c-1"},
		{"id", `,"session_token_mode":"id"`, "k-1", "c-1"},
		{"none", `,"session_token_mode":"none"`, "k-1", ""},
	} {
		x := exchangeOf(t, `{"request":{"url":"http://h:80/","headers":{"apikey":"k-1"}},"authenticated_entity":{"id":"c-1"}}`)
		x.credentialKey = c.key
		var event map[string]any
		require.NoError(t, json.Unmarshal(encodeEvent(x, settingsOf(t, `{"application_id":"app"`+c.config+`}`)), &event))
		if c.want == "" {
			assert.NotContains(t, event, "session_token", c.name)
		} else {
			assert.Equal(t, c.want, event["session_token"], c.name)
		}
	}
}
