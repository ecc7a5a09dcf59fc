package moesif

import (
	"path/filepath"
	"strings"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/moesif/remote"
)

// governedBytes is the largest request body that rules look into, whatever is captured.
const governedBytes = maxEventBytes

// refuseUngoverned answers a request while the rules are not known and must be.
func refuseUngoverned(kong *pdk.PDK) {
	pluginserver.Refuse(kong, 503, "The rules for this API are not known yet", map[string]string{"Retry-After": "5"})
}

// block answers a request in the place of the upstream, as a rule says. What has been set before leaves with it.
func (c *Config) block(kong *pdk.PDK, s *settings, d remote.Decision, id transactionID) {
	_ = kong.Ctx.SetShared(blockedKey(s), d.RuleID)
	answer := make(map[string][]string, len(d.Headers)+2)
	for _, h := range d.Headers {
		answer[h.Name] = append(answer[h.Name], strings.ToValidUTF8(h.Value, "?"))
	}
	if d.ContentType != "" {
		answer["Content-Type"] = []string{strings.ToValidUTF8(d.ContentType, "?")}
	}
	if id.value != "" {
		answer[transactionHeaderSent] = []string{id.value}
	}
	c.capture.remote.Blocked(d.RuleID)
	kong.Response.Exit(d.Status, d.Body, answer)
}

// blockedKey is where a request carries the rule that has blocked it, should log run in another process than access.
func blockedKey(s *settings) string {
	return "moesif_blocked_by_" + filepath.Base(applicationKey{s.endpoint, s.applicationID}.folder(""))
}
