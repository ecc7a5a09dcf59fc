package admin

import (
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What requests did is told by method, route and status; whatever a client sends, nothing of it is a label.
func TestMetrics(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	handler := tokens{{"ci", sha256.Sum256([]byte(testToken))}}.guard(a.API, a.refused)
	send := func(method, path, token, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
		r.Header.Set("Kong-Admin-Token", token)
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	const secret = "a-key-that-nobody-else-sees"
	require.Equal(t, 201, send("POST", "/consumers", testToken, `{"username":"alice"}`).Code)
	require.Equal(t, 201, send("POST", "/consumers/alice/key-auth", testToken, `{"key":"`+secret+`"}`).Code)
	require.Equal(t, 409, send("POST", "/consumers/alice/key-auth", testToken, `{"key":"`+secret+`"}`).Code)
	require.Equal(t, 200, send("GET", "/key-auths/"+secret, testToken, "").Code)
	require.Equal(t, 404, send("GET", "/"+secret, testToken, "").Code)
	require.Equal(t, 405, send(strings.ToUpper(strings.ReplaceAll(secret, "-", "")), "/key-auths/"+secret, testToken, "").Code)
	require.Equal(t, 204, send("DELETE", "/consumers/alice", testToken, "").Code)
	require.Equal(t, 401, send("GET", "/metrics", "", "").Code)
	w := send("GET", "/metrics", testToken, "")
	require.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "text/plain; version=0.0.4; charset=utf-8", w.Header().Get("Content-Type"))
	text := w.Body.String()
	for _, line := range []string{
		`keyauth_admin_requests_total{method="POST",route="/consumers",status="201"} 1`,
		`keyauth_admin_requests_total{method="POST",route="/consumers/{consumer}/key-auth",status="201"} 1`,
		`keyauth_admin_requests_total{method="POST",route="/consumers/{consumer}/key-auth",status="409"} 1`,
		`keyauth_admin_requests_total{method="GET",route="/key-auths/{key}",status="200"} 1`,
		`keyauth_admin_requests_total{method="GET",route="none",status="404"} 1`,
		`keyauth_admin_requests_total{method="other",route="none",status="405"} 1`,
		`keyauth_admin_requests_total{method="GET",route="none",status="401"} 1`,
		`keyauth_admin_request_seconds_count 7`,
		`keyauth_admin_changes_total{action="create",entity="consumer"} 1`,
		`keyauth_admin_changes_total{action="create",entity="credential"} 1`,
		`keyauth_admin_changes_total{action="delete",entity="consumer"} 1`,
		`keyauth_admin_changes_total{action="delete",entity="credential"} 1`,
		`keyauth_admin_panics_total 0`,
	} {
		assert.Contains(t, text, line+"\n")
	}
	for _, word := range []string{secret, strings.ToUpper(strings.ReplaceAll(secret, "-", "")), "alice", testToken} {
		assert.NotContains(t, text, word)
	}
}
