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
// In other phases than access, and with -refuse exit, the answer is Exit with a JSON body. status is 400 to 599.
// Source: kong/init.lua (flush_delayed_response) of Kong 3.9.1; compared with a bundled plugin's answers.
func Refuse(kong *pdk.PDK, status int, message string, headers map[string]string) {
	message = strings.ToValidUTF8(message, "?")
	e := eventOf(kong)
	if e == nil || e.phase == access && !e.srv.refuseByExit {
		fields := make(map[string]any, len(headers))
		for k, v := range headers {
			fields[k] = strings.ToValidUTF8(v, "?")
		}
		if kong.Service.SetTarget("127.0.0.1", 9) == nil && kong.Nginx.SetCtx("delayed_response", map[string]any{
			"status_code": status,
			"content":     map[string]any{"message": message},
			"headers":     fields,
		}) == nil {
			return
		}
	}
	body, _ := json.Marshal(map[string]string{"message": message}) // strings always marshal
	list := map[string][]string{"Content-Type": {"application/json; charset=utf-8"}}
	for k, v := range headers {
		list[k] = []string{strings.ToValidUTF8(v, "?")}
	}
	kong.Response.Exit(status, body, list)
}
