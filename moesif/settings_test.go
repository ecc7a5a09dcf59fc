package moesif

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func newTestCapture(t testing.TB) *Capture {
	t.Helper()
	c := NewCapture(func(cause, text string) { t.Logf("report: %s: %s", cause, text) })
	t.Cleanup(func() { _ = c.Close(t.Context()) }) // whose time is over then: nothing is left to report after the test
	return c
}

// configOf reads a configuration as Kong sends it.
func configOf(t testing.TB, c *Capture, json string) *Config {
	t.Helper()
	config := New(c)
	require.NoError(t, config.UnmarshalJSON([]byte(json)))
	return config
}

func settingsOf(t testing.TB, json string) *settings {
	t.Helper()
	s, err := configOf(t, newTestCapture(t), json).check()
	require.NoError(t, err)
	return s
}

func TestSchemaFitsConfig(t *testing.T) {
	require.NoError(t, Schema().Check())
	require.NoError(t, Schema().CheckStruct(New(newTestCapture(t))))
	assert.Equal(t, 47, len(Schema().Fields))
}

// The defaults are those of Moesif's Lua plugin 2.1, but for the smaller queue.
func TestDefaultsD1(t *testing.T) {
	c := configOf(t, newTestCapture(t), `{"application_id":"app"}`)
	c.capture, c.resolve = nil, nil
	assert.Equal(t, &Config{
		ApplicationID: "app", APIEndpoint: "https://api.moesif.net", Timeout: 1000, ConnectTimeout: 1000, SendTimeout: 5000, Keepalive: 5000,
		EventQueueSize: 100000, APIVersion: "1.0", BatchSize: 50, AuthorizationHeaderName: "authorization", AuthorizationUserIDField: "sub",
		MaxCallbackTimeSpent: 750, RequestMaxBodySizeLimit: 100000, ResponseMaxBodySizeLimit: 100000,
		RequestMasks: []string{}, RequestBodyMasks: []string{}, RequestHeaderMasks: []string{}, ResponseMasks: []string{}, ResponseBodyMasks: []string{},
		ResponseHeaderMasks: []string{}, RequestQueryMasks: []string{},
		FlushAfterMS: 1000, QueueMaxBytes: 67108864, DropPolicy: "oldest", SpoolDir: "<kong-prefix>/moesif-spool", SpoolMaxBytes: 134217728, SpoolMaxAge: 86400,
		SessionTokenMode: "key", TrustConsumerHeaders: true, GovernanceFailOpen: true, MaskAction: "remove", MaskDetectors: []string{}, UnmaskableBodies: "drop",
		SkipBodyTypes: []string{},
	}, c)
}

func TestUnset(t *testing.T) {
	s := settingsOf(t, `{"application_id":"app","user_id_header":"","company_id_header":null,"authorization_header_name":"","authorization_company_id_field":"",
		"api_version":null,"batch_size":null,"request_masks":null,"__seq__":5,"route_id":"x"}`)
	assert.Equal(t, identityRules{userClaim: "sub", trustConsumerHeaders: true}, s.identity)
	assert.Equal(t, "1.0", s.apiVersion)
	assert.Equal(t, 50, s.queue.BatchEvents)
	assert.Nil(t, s.requestMasks)
	assert.False(t, s.session.masks)
}

func TestSettings(t *testing.T) {
	s := settingsOf(t, `{"application_id":"app","api_endpoint":"http://collector:8080/base//","request_masks":["a"],"response_masks":["b"],"response_body_masks":["c"],
		"request_header_masks":[" X-Secret "],"authorization_header_name":"X-Api-Key, ,Authorization","batch_size":7.0,"disable_transaction_id":true,
		"user_id_header":"Authorization","company_id_header":"X-Company","request_max_body_size_limit":2000000}`)
	assert.Equal(t, "", s.identity.userHeader, "credentials are no id: they would be sent in clear")
	assert.Equal(t, "x-company", s.identity.companyHeader)
	assert.EqualValues(t, maxEventBytes, s.requestBodyLimit, "the collector takes no larger event")
	assert.Equal(t, "http://collector:8080/base", s.endpoint)
	shown, _ := s.requestMasks.JSON(nil, []byte(`{"a":1,"b":2}`))
	assert.JSONEq(t, `{"b":2}`, string(shown), "the deprecated name counts when the other is unset")
	shown, _ = s.responseMasks.JSON(nil, []byte(`{"a":1,"b":2,"c":3}`))
	assert.JSONEq(t, `{"a":1,"b":2}`, string(shown))
	assert.True(t, s.requestMasks.HidesHeader("x-secret"))
	assert.False(t, s.responseMasks.HidesHeader("x-secret"))
	assert.True(t, s.session.masks)
	assert.Equal(t, []string{"x-api-key", "authorization"}, s.identity.tokenHeaders)
	assert.Equal(t, 7, s.queue.BatchEvents)
	assert.False(t, s.transactionID)
}

func TestBadSettings(t *testing.T) {
	for config, want := range map[string][]string{
		`{}`:                                     {"application_id"},
		`{"application_id":" "}`:                 {"application_id: required"},
		`{"application_id":"topsecret\n"}`:       {"application_id: holds a blank"},
		`{"application_id":"a","batch_size":0}`:  {"batch_size"},
		`{"application_id":"a","batch_size":[]}`: {"batch_size"},
		`{"application_id":"a","api_endpoint":"api.moesif.net"}`:                                                 {"api_endpoint: must start with https://"},
		`{"application_id":"a","api_endpoint":"http://"}`:                                                        {"api_endpoint: must start with https://"},
		`{"application_id":"a","api_endpoint":"http://:80"}`:                                                     {"api_endpoint: has no host"},
		`{"application_id":"a","api_endpoint":"http://x y/"}`:                                                    {"api_endpoint: not a URL"},
		`{"application_id":"a","api_endpoint":"http://u:topsecret@h"}`:                                           {"api_endpoint: must not hold a user name"},
		`{"application_id":"a","api_endpoint":"http://h/?topsecret"}`:                                            {"api_endpoint: must not hold a query"},
		`{"application_id":"a","api_endpoint":"ftp://h","request_body_masks":["a..b"],"response_masks":["[x]"]}`: {"api_endpoint:", "request_body_masks:", "response_body_masks:"},
		`{"application_id":"a","api_endpoint":"file:///tmp/"}`:                                                   {"api_endpoint: names a folder"},
		`{"application_id":"a","api_endpoint":"file://relative"}`:                                                {"api_endpoint: must start with https://"},
		`{"application_id":"a","spool_dir":"relative/x"}`:                                                        {"spool_dir: must be an absolute path"},
		`{"application_id":"a","mask_action":"hash"}`:                                                            {"mask_hash_key", "mask_action hash wants mask_hash_key"},
		`{"application_id":"a","mask_action":"hash","mask_hash_key":""}`:                                         {"mask_hash_key"},
		`{"application_id":"a","mask_action":"blur"}`:                                                            {"mask_action: expected one of: remove, stars, hash"},
		`{"application_id":"a","drop_policy":"all","session_token_mode":"x","mask_detectors":["iban"]}`:          {"drop_policy", "session_token_mode", "mask_detectors"},
		`{"application_id":"a","batch_size":0,"send_timeout":"x"}`:                                               {"batch_size", "send_timeout"},
		`{"application_id":"topsecret ","batch_size":0}`:                                                         {"batch_size", "application_id: holds a blank"},
		`nonsense`: {""},
	} {
		_, err := configOf(t, newTestCapture(t), config).check()
		require.Error(t, err, config)
		for _, w := range want {
			assert.ErrorContains(t, err, w, config)
		}
		assert.NotContains(t, err.Error(), "topsecret", config)
	}
}

// What earlier versions of the Lua plugin had loads, and is spoken of once.
func TestGoneFieldsAreAcceptedWithAWarning(t *testing.T) {
	var reports []string
	c := NewCapture(func(_, text string) { reports = append(reports, text) })
	config := configOf(t, c, `{"application_id":"a","max_events_sent_per_callback":750,"disable_moesif_payload_compression":false}`)
	for range 3 {
		assert.NotNil(t, config.settings())
	}
	assert.Equal(t, []string{"configuration: max_events_sent_per_callback: gone, without effect; remove it, and see batch_size",
		"configuration: disable_moesif_payload_compression: gone, without effect; remove it, and see enable_compression"}, reports)

	reports = nil
	assert.NotNil(t, configOf(t, c, `{"application_id":"a","max_events_sent_per_callback":null}`).settings())
	assert.Empty(t, reports)

	warnings := configOf(t, c, `{"application_id":"a","user_id_header":"Authorization","company_id_header":"x-company"}`).Warnings()
	assert.Equal(t, []string{"user_id_header: Authorization holds credentials and is ignored; authorization_header_name reads ids from tokens"}, warnings)
}

func TestBadConfigurationIsReportedOnce(t *testing.T) {
	var reports []string
	c := NewCapture(func(_, text string) { reports = append(reports, text) })
	config := configOf(t, c, `{"application_id":"a","batch_size":0}`)
	for range 3 {
		assert.Nil(t, config.settings())
	}
	require.Len(t, reports, 1)
	assert.Contains(t, reports[0], "batch_size")
	assert.Equal(t, 1.0, counterValue(t, c.stats.configErrors))
}
