package console

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"kong-go-plugins/internal/frames"
)

// An event is what the collector received, as a row of the list.
type event struct {
	Number  int64  `json:"n"`
	TimeMS  int64  `json:"t"` // of the request
	Method  string `json:"method"`
	Target  string `json:"target"`
	Status  int    `json:"status"`
	User    string `json:"user,omitempty"`
	Company string `json:"company,omitempty"`
	Bytes   int    `json:"bytes"`
	raw     json.RawMessage
	version uint64
}

func newEvent(number int64, raw json.RawMessage, version uint64) event {
	var in struct {
		Request struct {
			Time string `json:"time"`
			URI  string `json:"uri"`
			Verb string `json:"verb"`
		} `json:"request"`
		Response struct {
			Status int `json:"status"`
		} `json:"response"`
		UserID    any `json:"user_id"`
		CompanyID any `json:"company_id"`
	}
	_ = json.Unmarshal(raw, &in) // an event of another kind shows up with what it has
	e := event{
		Number: number, Method: clip(in.Request.Verb, 20), Target: frames.TargetText(target(in.Request.URI)), Status: in.Response.Status,
		User: shortText(in.UserID), Company: shortText(in.CompanyID), Bytes: len(raw), raw: raw, version: version,
	}
	if at, err := time.Parse(time.RFC3339Nano, in.Request.Time); err == nil {
		e.TimeMS = at.UnixMilli()
	}
	return e
}

// target is a URL without scheme and host.
func target(uri string) string {
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return uri
	}
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		return rest[i:]
	}
	return "/"
}

func shortText(v any) string {
	if v == nil {
		return ""
	}
	return clip(fmt.Sprint(v), 100)
}

// maxString bounds each text in a shown event.
const maxString = 1000

// redact is an event as indented JSON for reading: values whose names sound
// like secrets, credentials inside texts and encoded bodies are left out.
func redact(raw json.RawMessage) []byte {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return toJSON(byteCount(len(raw)))
	}
	var out bytes.Buffer
	_ = json.Indent(&out, toJSON(redactValue("", v, 0)), "", "  ")
	return out.Bytes()
}

func redactValue(name string, v any, depth int) any {
	if depth > 100 {
		return "…"
	}
	if v != nil && name != "" && frames.IsSecretName(name) {
		return "(hidden)"
	}
	switch v := v.(type) {
	case string:
		if strings.Contains(v, "://") && strings.Contains(v, "?") {
			before, rest, _ := strings.Cut(v, "?")
			return clip(before, maxString) + strings.TrimPrefix(frames.TargetText("/?"+rest), "/")
		}
		return withoutCredentials(clip(v, maxString))
	case []any:
		for i := range v {
			v[i] = redactValue("", v[i], depth+1)
		}
	case map[string]any:
		if v["transfer_encoding"] == "base64" {
			if body, ok := v["body"].(string); ok {
				v["body"] = fmt.Sprintf("(%d bytes, encoded)", len(body))
			}
		}
		for k := range v {
			v[k] = redactValue(k, v[k], depth+1)
		}
	}
	return v
}

var credentials = regexp.MustCompile(`(?i)\b(bearer|basic|digest|negotiate)\s+[^"'\s]+`) // read-only

// withoutCredentials cuts credentials out of a text that quotes an
// Authorization header.
func withoutCredentials(s string) string { return credentials.ReplaceAllString(s, "$1 …") }
