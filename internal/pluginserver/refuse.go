package pluginserver

import (
	"encoding/json"
	"strings"

	"github.com/Kong/go-pdk"
)

// Refuse ends the request with an error of Kong's own shape: the body's format follows the client's Accept header and
// carries the request id, exactly as a bundled plugin's refusal. The handler should return after it.
//
// It sets Kong's delayed response through the request context, a setter that rides in the last flight, so the
// connection survives, which Exit would burn. The field is Kong's own and undocumented; should a version of Kong not
// honour it, the request goes to a target that nobody answers, never to the upstream: 502, not a pass.
//
// In other phases than access, with -refuse exit, and for a message that one of Kong's templates would not quote, the
// answer is Exit with a JSON body; go-pdk's own server tells no phase: call it only in access there. status is 400 to
// 599, anything else is a mistake of the caller and refuses with 500. headers that describe a body are left out: the body
// is Kong's.
// Source: kong/init.lua (flush_delayed_response) and kong/tools/http.lua of Kong 3.9.1; compared with a bundled plugin's
// answers.
func Refuse(kong *pdk.PDK, status int, message string, headers map[string]string) {
	if status < 400 || status > 599 {
		status = 500
	}
	message = strings.ToValidUTF8(message, "?")
	fields, lists := map[string]any{}, map[string][]string{"Content-Type": {"application/json; charset=utf-8"}}
	for name, value := range headers {
		if describesBody(name) {
			continue
		}
		value = strings.ToValidUTF8(value, "?")
		fields[name], lists[name] = value, []string{value}
	}
	e := eventOf(kong)
	if (e == nil || e.phase == access && !e.srv.refuseByExit) && isPlain(message) {
		if kong.Service.SetTarget("127.0.0.1", 9) == nil && kong.Nginx.SetCtx("delayed_response", map[string]any{
			"status_code": status,
			"content":     map[string]any{"message": message},
			"headers":     fields,
		}) == nil {
			return
		}
	}
	body, _ := json.Marshal(map[string]string{"message": message}) // strings always marshal
	kong.Response.Exit(status, body, lists)
}

// describesBody reports whether a header speaks of the body, which is not the caller's. Kong knows them with "_" too.
func describesBody(name string) bool {
	switch strings.ReplaceAll(strings.ToLower(name), "_", "-") {
	case "content-type", "content-length", "content-encoding", "transfer-encoding":
		return true
	}
	return false
}

// isPlain reports whether text can stand in each of Kong's error templates (JSON, HTML, XML, plain), which quote nothing.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || strings.ContainsRune("\"\\<>&\x7f", r) })
}
