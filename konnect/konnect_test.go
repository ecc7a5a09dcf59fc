// Package konnect_test checks what is given to a control plane of Konnect.
package konnect_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// make konnect-schema writes bodies that hold the schemas byte for byte, within the size that control planes take.
func TestBodies(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "make", "konnect-schema", "BIN="+bin)
	cmd.Dir = ".."
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	files, err := filepath.Glob(bin + "/konnect/*")
	require.NoError(t, err)
	require.Len(t, files, 3)
	for name, file := range map[string]string{"moesif": "../schema/moesif/schema.lua", "keyauth": "../schema/keyauth/schema.lua", "datakit-go": "../schema/datakit/schema.lua"} {
		text, err := os.ReadFile(filepath.Join(bin, "konnect", name+".json"))
		require.NoError(t, err)
		var body map[string]string
		require.NoError(t, json.Unmarshal(text, &body))
		require.Len(t, body, 1)
		schema, err := os.ReadFile(file)
		require.NoError(t, err)
		want := string(schema)
		if name == "datakit-go" {
			want = regexp.MustCompile(`return\{name="datakit"`).ReplaceAllLiteralString(want, `return{name="datakit-go"`)
		}
		assert.Equal(t, want, body["lua_schema"], name)
		assert.LessOrEqual(t, len(body["lua_schema"]), 8192, name)
	}
}

func TestTerraformNamesFilesThatExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("main.tf")
	require.NoError(t, err)
	found := regexp.MustCompile(`file\("\$\{path\.module\}/(.+?)"\)`).FindAllStringSubmatch(string(text), -1)
	require.NotEmpty(t, found)
	for _, m := range found {
		assert.FileExists(t, m[1])
	}
}

// When Konnect refuses the schema, the script ends and shows what Konnect says of it, and not the token.
func TestUploadShowsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	konnect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Method == http.MethodGet {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"message": "lua_schema: no such type"}`)
	}))
	defer konnect.Close()
	cmd := exec.CommandContext(t.Context(), "../examples/moesif/konnect/upload.sh")
	cmd.Env = append(os.Environ(), "KONNECT_URL="+konnect.URL, "KONNECT_TOKEN=for-tests-only", "CONTROL_PLANE=1")
	out, err := cmd.CombinedOutput()
	require.ErrorAs(t, err, new(*exec.ExitError), string(out))
	assert.Equal(t, "schema created: 400\nKonnect did not take it: {\"message\": \"lua_schema: no such type\"}\n", string(out))
}
