package moesif

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"kong-go-plugins/moesif/content"
	"kong-go-plugins/moesif/mask"
	"kong-go-plugins/moesif/send"
)

// settings is a checked configuration in the form that the handlers use. It is never changed.
type settings struct {
	applicationID string
	endpoint      string // without a trailing slash
	apiVersion    string

	captureRequestBody  bool
	captureResponseBody bool
	requestBodyLimit    int64
	responseBodyLimit   int64
	decode              bool // content codings of bodies are undone

	requestMasks   *mask.Masks // nil when nothing is masked
	responseMasks  *mask.Masks
	sendUnmaskable bool

	skipTypes   content.Types // whose bodies are left out
	failOpen    bool          // requests pass while the rules are not known
	ruleHeaders bool          // also on responses that pass

	transactionID bool
	identity      identityRules
	session       sessionRules
	queue         send.Settings
}

// check turns the configuration into settings, or says everything that is wrong with it, each with its field.
func (c *Config) check() (*settings, error) {
	var wrong []error
	if c.decoded != nil {
		wrong = append(wrong, c.decoded)
	}
	fail := func(field string, err error) {
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", field, err))
		}
	}

	endpoint := ""
	if c.decoded == nil || c.ApplicationID != "" { // what the schema has found is not said twice
		fail("application_id", checkApplicationID(c.ApplicationID))
	}
	if c.decoded == nil {
		var err error
		endpoint, err = checkEndpoint(c.APIEndpoint)
		fail("api_endpoint", err)
	}
	requestMasks, err := c.masks(firstNonEmpty(c.RequestBodyMasks, c.RequestMasks), c.RequestHeaderMasks)
	fail("request_body_masks", err)
	responseMasks, err := c.masks(firstNonEmpty(c.ResponseBodyMasks, c.ResponseMasks), c.ResponseHeaderMasks)
	fail("response_body_masks", err)
	skipTypes, err := content.NewTypes(c.SkipBodyTypes)
	fail("skip_body_types", err)
	if wrong != nil {
		return nil, errors.Join(wrong...)
	}

	return &settings{
		applicationID:       c.ApplicationID,
		endpoint:            endpoint,
		apiVersion:          c.APIVersion,
		captureRequestBody:  !c.DisableCaptureRequestBody,
		captureResponseBody: !c.DisableCaptureResponseBody,
		requestBodyLimit:    int64(min(c.RequestMaxBodySizeLimit, maxEventBytes)),
		responseBodyLimit:   int64(min(c.ResponseMaxBodySizeLimit, maxEventBytes)),
		decode:              !c.DisableGzipPayloadDecompression,
		requestMasks:        requestMasks,
		responseMasks:       responseMasks,
		sendUnmaskable:      c.UnmaskableBodies == "send",
		skipTypes:           skipTypes,
		failOpen:            c.GovernanceFailOpen,
		ruleHeaders:         c.RuleHeaders,
		transactionID:       !c.DisableTransactionID,
		identity: identityRules{
			userHeader:           identityHeader(c.UserIDHeader),
			companyHeader:        identityHeader(c.CompanyIDHeader),
			tokenHeaders:         lowerNames(strings.Split(c.AuthorizationHeaderName, ",")),
			userClaim:            c.AuthorizationUserIDField,
			companyClaim:         c.AuthorizationCompanyIDField,
			trustConsumerHeaders: c.TrustConsumerHeaders,
		},
		session: sessionRules{mode: c.SessionTokenMode, key: cmp.Or(c.MaskHashKey, c.ApplicationID), masks: requestMasks != nil || responseMasks != nil},
		queue: send.Settings{
			Endpoint:       endpoint,
			ApplicationID:  c.ApplicationID,
			MaxEvents:      c.EventQueueSize,
			MaxBytes:       c.QueueMaxBytes,
			DropNewest:     c.DropPolicy == "newest",
			SpoolDir:       c.spoolFolder(endpoint),
			SpoolMaxBytes:  int64(c.SpoolMaxBytes),
			SpoolMaxAge:    time.Duration(c.SpoolMaxAge) * time.Second,
			BatchEvents:    c.BatchSize,
			FlushAfter:     millis(c.FlushAfterMS),
			ConnectTimeout: millis(c.ConnectTimeout),
			SendTimeout:    millis(c.SendTimeout),
			Keepalive:      millis(c.Keepalive),
			Compress:       c.EnableCompression,
			Debug:          c.Debug,
		},
	}, nil
}

// masks compiles the masks of one direction. Its errors are about body masks: the rest is checked by the schema.
func (c *Config) masks(body, headers []string) (*mask.Masks, error) {
	if c.decoded != nil {
		return mask.Compile(mask.Rules{Body: body})
	}
	return mask.Compile(mask.Rules{
		Body: body, Headers: headers, Query: c.RequestQueryMasks,
		Action: c.MaskAction, HashKey: c.MaskHashKey, Detectors: c.MaskDetectors,
	})
}

// spoolFolder returns the folder of the spool, "" for none: a dry run leaves nothing behind but its events.
func (c *Config) spoolFolder(endpoint string) string {
	if _, dry, _ := send.CheckSink(endpoint); dry {
		return ""
	}
	rest, underPrefix := strings.CutPrefix(c.SpoolDir, prefixWord)
	prefix := c.capture.started().prefix
	switch {
	case underPrefix && prefix == "": // a server without that flag
		return ""
	case underPrefix:
		return filepath.Join(prefix, rest)
	}
	return c.SpoolDir
}

func checkApplicationID(id string) error {
	switch {
	case strings.TrimSpace(id) == "":
		return errors.New("required; it is on the API keys page of your Moesif account")
	case strings.ContainsFunc(id, notVisibleASCII):
		return errors.New("holds a blank or a character that no header can carry; copy it again")
	}
	return nil
}

// checkEndpoint returns the base URL, whose scheme the schema has checked, without a trailing slash, or the place of a dry
// run. Its errors do not repeat the value, which may hold a password.
func checkEndpoint(s string) (string, error) {
	s = strings.TrimSpace(s)
	if sink, ok, err := send.CheckSink(s); ok {
		return sink, err
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return "", errors.New("not a URL; write https://host, for instance https://api.moesif.net")
	case u.Hostname() == "":
		return "", errors.New("has no host; write https://host, for instance https://api.moesif.net")
	case u.User != nil:
		return "", errors.New("must not hold a user name or password")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return "", errors.New("must not hold a query or a fragment; the paths are appended to it")
	}
	return strings.TrimRight(u.String(), "/"), nil
}

func millis(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func lowerName(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// identityHeader returns the name of a header that holds an id, "" for one that holds credentials: its value would be sent
// in clear.
func identityHeader(name string) string {
	if name = lowerName(name); isRedacted(name) {
		return ""
	}
	return name
}

// lowerNames returns the names in lower case without blanks around them, the empty ones left out.
func lowerNames(names []string) []string {
	var lower []string
	for _, n := range names {
		if n = lowerName(n); n != "" {
			lower = append(lower, n)
		}
	}
	return lower
}

// firstNonEmpty returns the first list that has an entry: the deprecated mask names count only when the others are unset.
func firstNonEmpty(lists ...[]string) []string {
	for _, l := range lists {
		if len(l) > 0 {
			return l
		}
	}
	return nil
}

func notVisibleASCII(r rune) bool { return r <= ' ' || r > '~' }
