package keyauth

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/Kong/go-pdk"

	"kong-go-plugins/internal/pluginserver"
)

// answers are the refusals of a configuration.
type answers struct {
	challenge     map[string]string // header of 401s; shared, never changed
	challengeAll  bool              // on every 401, not only on those without a key
	unknownStatus int
	unknownText   string
	refusesBodies bool // that cannot be read
}

const unexpectedText = "An unexpected error occurred" // Kong's

// newAnswers returns the refusals of a version of Kong: 3.9, 2.8 or 0.x.
// Source: key-auth's handlers of those versions.
func newAnswers(compat, realm string) answers {
	a := answers{challengeAll: true, unknownStatus: http.StatusUnauthorized, unknownText: "Unauthorized"}
	if compat != "3.9" {
		a.challengeAll, a.unknownText = false, "Invalid authentication credentials"
		if realm == "" {
			realm = "kong"
		}
	}
	if compat == "0.x" {
		a.unknownStatus, a.refusesBodies = http.StatusForbidden, true
	}
	challenge := "Key"
	if realm != "" {
		challenge += ` realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`
	}
	a.challenge = map[string]string{"WWW-Authenticate": challenge}
	return a
}

// refuse answers the request. Why a known key is refused is counted and not told: to the client it is an unknown one.
func (s *settings) refuse(kong *pdk.PDK, r result) {
	a := &s.answers
	switch r {
	case missing:
		pluginserver.Refuse(kong, http.StatusUnauthorized, "No API key found in request", a.challenge)
	case repeated:
		pluginserver.Refuse(kong, http.StatusUnauthorized, "Duplicate API key found", a.unlessOld())
	case unreadable:
		pluginserver.Refuse(kong, http.StatusBadRequest, "Cannot process request body", nil)
	case throttled:
		pluginserver.Refuse(kong, http.StatusTooManyRequests, "Too many requests with wrong API keys", map[string]string{"Retry-After": strconv.Itoa(int(s.limit.pause / time.Second))})
	case noAnonymous:
		pluginserver.Refuse(kong, http.StatusInternalServerError, "anonymous consumer "+s.anonymous+" is configured but doesn't exist", nil)
	case storeFailed, misconfigured, broken:
		refuseUnexpected(kong)
	default:
		pluginserver.Refuse(kong, a.unknownStatus, a.unknownText, a.unlessOld())
	}
}

func (a *answers) unlessOld() map[string]string {
	if a.challengeAll {
		return a.challenge
	}
	return nil
}

func refuseUnexpected(kong *pdk.PDK) {
	pluginserver.Refuse(kong, http.StatusInternalServerError, unexpectedText, nil)
}
