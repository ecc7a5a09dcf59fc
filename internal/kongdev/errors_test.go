package kongdev

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestPageType(t *testing.T) {
	tests := []struct{ accept, want string }{
		{"", typeJSON}, {"*/*", typeJSON}, {"text/html", typeHTML}, {"text/*", typePlain}, {"application/*", typeJSON}, {"application/xml", typeXML},
		{"text/html,application/xml;q=0.9", typeHTML}, {"text/html;q=0.1, application/xml", typeXML}, {"text/html;q=0.5,text/plain;q=0.5", typeHTML},
		{"image/png", typeJSON}, {"text/html;level=1;q=0.3,text/plain;q=0.2", typeHTML}, {"garbage", typeJSON}, {"text/html;q=0", typeJSON}, {"application/grpc", ""},
	}
	for _, tt := range tests {
		var accept []string
		if tt.accept != "" {
			accept = []string{tt.accept}
		}
		assert.Equal(t, tt.want, pageType(accept), tt.accept)
	}
}

// Every page carries the message and the request's id.
func TestPages(t *testing.T) {
	for _, typ := range []string{typeJSON, typeHTML, typeXML, typePlain, "text/plain"} {
		text, ok := page(typ, "some message", "some id")
		assert.True(t, ok)
		assert.Contains(t, text, "some message")
		assert.Contains(t, text, "some id")
	}
	_, ok := page("image/png", "m", "i")
	assert.False(t, ok)
}

// Whatever Accept says, there is a page for its type.
func FuzzPageType(f *testing.F) {
	f.Add("text/html;q=0.1, application/xml")
	f.Add("*/*;q=1.000;a=b")
	f.Fuzz(func(t *testing.T, accept string) {
		typ := pageType(strings.Split(accept, "\n"))
		if _, ok := page(typ, "m", "i"); !ok {
			t.Errorf("no page for %q, made of %q", typ, accept)
		}
	})
}

func TestStatusMessage(t *testing.T) {
	assert.Equal(t, "Unauthorized", statusMessage(401))
	assert.Equal(t, "The upstream server responded with 499", statusMessage(499))
}
