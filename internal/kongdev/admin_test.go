package kongdev

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongdev/collector"
	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/internal/kongdev/external"
)

func testAdmin(t *testing.T) *admin {
	t.Helper()
	d, err := declarative.Load("declarative/testdata/whole.yml")
	require.NoError(t, err)
	return &admin{
		config: d, nodeID: "n", proxy: "http://127.0.0.1:8000", collector: collector.New(),
		infos: map[string]external.Info{"tplug": {
			Name: "tplug", Version: "1.2.3", Priority: 7,
			Schema: json.RawMessage(`{"name":"tplug","fields":[{"config":{"type":"record","fields":[{"message":{"type":"string"}},{"unset":{"type":"string"}}]}}]}`),
		}},
		stats: func() Stats { return Stats{Requests: 42, PluginPIDs: map[string]int{"tplug": 1}} },
	}
}

func getJSON(t *testing.T, h http.Handler, path string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	var body map[string]any
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body), path)
	assert.Equal(t, "application/json; charset=utf-8", w.Header().Get("Content-Type"))
	return w.Code, body
}

func TestAdminLists(t *testing.T) {
	a := testAdmin(t)
	r, up, bob := "da7ba03a-f1be-52d4-8a7e-c8f32640689a", "dea4c45f-3d88-5461-8ebd-05ae5bbbf87a", a.config.Consumers[0].ID
	tests := map[string]int{
		"/services": 2, "/routes": 3, "/consumers": 2, "/plugins": 4, "/upstreams": 1,
		"/services/up/routes": 2, "/services/" + up + "/routes": 2, "/services/up/plugins": 1, "/services/secure/plugins": 0,
		"/routes/r/plugins": 1, "/routes/" + r + "/plugins": 1, "/consumers/bob/plugins": 2, "/consumers/" + bob + "/plugins": 2,
		"/upstreams/pool.internal/targets": 3, "/routes/": 3,
	}
	for path, want := range tests {
		status, body := getJSON(t, a, path)
		require.Equal(t, 200, status, path)
		assert.Len(t, body["data"], want, path)
		assert.Nil(t, body["next"])
	}
}

func TestAdminEntities(t *testing.T) {
	a := testAdmin(t)
	_, service := getJSON(t, a, "/services/up")
	assert.Equal(t, []any{"up", "http", "127.0.0.1", 9001.0, nil, 5.0, 60000.0, true},
		[]any{service["name"], service["protocol"], service["host"], service["port"], service["path"], service["retries"], service["read_timeout"], service["enabled"]})
	assert.Contains(t, service, "client_certificate", "null, as in Kong")
	_, same := getJSON(t, a, "/routes/r/service")
	assert.Equal(t, service, same)

	_, route := getJSON(t, a, "/routes/regex")
	assert.Equal(t, map[string]any{"id": service["id"]}, route["service"])
	assert.Equal(t, map[string]any{"x-kind": []any{"a", "~*b"}}, route["headers"])
	assert.Nil(t, route["sources"])

	_, plugin := getJSON(t, a, "/plugins/mine")
	assert.Equal(t, "tplug", plugin["name"])
	assert.Equal(t, map[string]any{"message": nil, "unset": nil}, plugin["config"], "unset fields are null")
	assert.Equal(t, map[string]any{"id": a.config.Consumers[0].ID}, plugin["consumer"])
	_, first := getJSON(t, a, "/plugins/"+a.config.Plugins[0].ID)
	assert.Equal(t, "hello", first["config"].(map[string]any)["message"])

	_, root := getJSON(t, a, "/")
	assert.Equal(t, []any{"3.9.1", "kongdev"}, []any{root["version"], root["edition"]})
	assert.Contains(t, root["tagline"], "not for production")
	assert.Equal(t, map[string]any{"tplug": map[string]any{"version": "1.2.3", "priority": 7.0}}, root["plugins"].(map[string]any)["available_on_server"])
	_, status := getJSON(t, a, "/status")
	assert.Equal(t, 42.0, status["server"].(map[string]any)["total_requests"])

	_, enabled := getJSON(t, a, "/plugins/enabled")
	assert.Equal(t, map[string]any{"enabled_plugins": []any{"tplug"}}, enabled)
	for _, path := range []string{"/plugins/schema/tplug", "/schemas/plugins/tplug"} {
		_, s := getJSON(t, a, path)
		assert.Len(t, s["fields"], 1)
	}
	_, stats := getJSON(t, a, "/kongdev/stats")
	assert.Equal(t, 42.0, stats["Requests"])
	_, events := getJSON(t, a, "/kongdev/events")
	assert.Equal(t, 0.0, events["accepted"])
}

func TestAdminNotFound(t *testing.T) {
	a := testAdmin(t)
	for _, path := range []string{
		"/nothing", "/services/nothing", "/routes/alone/nothing", "/services/up/consumers", "/services/up/routes/r/plugins",
		"/plugins/schema/nothing", "/schemas/services", "/schemas", "/status/x", "/kongdev", "/kongdev/x", "/services/up/services", "/consumers/anon",
	} {
		status, body := getJSON(t, a, path)
		assert.Equal(t, 404, status, path)
		assert.Equal(t, map[string]any{"message": "Not found"}, body, path)
	}
}

func TestAdminIsReadOnly(t *testing.T) {
	a := testAdmin(t)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest(method, "/services", nil))
		assert.Equal(t, 405, w.Code)
		assert.Equal(t, "GET, HEAD, OPTIONS", w.Header().Get("Allow"))
		assert.Contains(t, w.Body.String(), "read-only: change the configuration file and start kongdev again")
	}
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("OPTIONS", "/services", nil))
	assert.Equal(t, 204, w.Code)
}

func TestAdminNeverShowsCredentials(t *testing.T) {
	a := testAdmin(t)
	for _, path := range []string{"/", "/consumers", "/consumers/bob", "/status", "/kongdev/stats"} {
		w := httptest.NewRecorder()
		a.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		for _, secret := range []string{`"k1"`, `"k2"`, a.config.Consumers[0].Credentials[0].ID} {
			assert.NotContains(t, w.Body.String(), secret, path)
		}
	}
}
