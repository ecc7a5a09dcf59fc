package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// cases are the folders of examples/configure.
func cases(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../configure/*/kong.yml")
	require.NoError(t, err)
	require.Len(t, files, 12)
	for i, f := range files {
		files[i] = filepath.Dir(f)
	}
	return files
}

// The files beside each kong.yml are what is written from it, and there are no others. make generate writes them.
func TestWritten(t *testing.T) {
	t.Parallel()
	for _, dir := range cases(t) {
		d, err := read(filepath.Join(dir, "kong.yml"))
		require.NoError(t, err)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		assert.Len(t, entries, 1+len(tools()), dir)
		for _, tool := range tools() {
			want, err := tool.render(d)
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, tool.file))
			require.NoError(t, err)
			assert.Equal(t, want, string(got), "%s: make generate writes it", dir)
		}
	}
}

// A call is one request of a script.
type call struct{ method, path, authorization, contentType, body string }

// runScript runs a script and returns what it asked of an API.
func runScript(t *testing.T, script string, env ...string) (calls []call) {
	t.Helper()
	var mu sync.Mutex
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call{r.Method, r.URL.Path, r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		w.WriteHeader(http.StatusCreated)
	}))
	defer api.Close()
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Env = append(os.Environ(), "ADMIN_URL="+api.URL, "KONNECT_URL="+api.URL, "KONNECT_TOKEN=a token", "CONTROL_PLANE=plane")
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	mu.Lock()
	defer mu.Unlock()
	return calls
}

// ids are environment variables for the entities that plugins are for.
func ids(d document) (env []string) {
	for _, p := range d.plugins {
		for _, s := range p.scopes {
			env = append(env, s.variable()+"=id-of-"+s.name)
		}
	}
	return env
}

// configJSON is a plugin's configuration as another reader of YAML has it.
func configJSON(t *testing.T, p plugin) string {
	t.Helper()
	var v any
	if p.config == nil {
		return ""
	}
	require.NoError(t, p.config.Decode(&v))
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// Both scripts of each case, and of each other example, make the calls that make the plugins.
func TestScripts(t *testing.T) {
	t.Parallel()
	var files []string
	for _, pattern := range []string{"../*/kong.yml", "../*/*/kong.yml"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	require.Greater(t, len(files), 40)
	for _, file := range files {
		d, err := read(file)
		require.NoError(t, err, file)
		for _, script := range []func(document) (string, error){adminAPI, konnectAPI} {
			text, err := script(d)
			require.NoError(t, err)
			calls := runScript(t, text, ids(d)...)
			require.Len(t, calls, len(d.plugins), file)
			for i, c := range calls {
				p := d.plugins[i]
				assert.Equal(t, http.MethodPost, c.method)
				assert.Equal(t, "application/json", c.contentType)
				prefix, name, entity := "", p.name, func(s scope) string { return s.name }
				if strings.HasPrefix(c.path, "/v2/") {
					prefix, name = "/v2/control-planes/plane/core-entities", besideKongsOwn(p.name)
					entity = func(s scope) string { return "id-of-" + s.name }
					assert.Equal(t, "Bearer a token", c.authorization)
				}
				path := "/plugins"
				if len(p.scopes) > 0 {
					path = "/" + p.scopes[0].kind + "s/" + entity(p.scopes[0]) + path
				}
				assert.Equal(t, prefix+path, c.path, file)
				var body struct {
					Name   string
					Config json.RawMessage
				}
				require.NoError(t, json.Unmarshal([]byte(c.body), &body), file)
				assert.Equal(t, name, body.Name, file)
				if want := configJSON(t, p); want != "" {
					assert.JSONEq(t, want, string(body.Config), file)
				}
			}
		}
	}
}

const difficult = `# not copied
_format_version: "3.0"
services:
- name: my orders
  routes:
  - name: list
    plugins:
    - name: datakit
      enabled: false
      consumer: alice
      config: {text: "a $HOME ` + "`id`" + ` \\ 'x' ${y} %{z}\n\nEOT", number: 1.5, none: null, empty: {}, list: []}
plugins:
- name: datakit
  protocols: [http, https]
  consumer_group: {name: gold}
- name: rate-limiting
  config: {minute: 5}
`

// Several scopes, fields beside config, and what shells, JSON and Terraform have signs of their own for.
func TestDifficult(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "kong.yml")
	require.NoError(t, os.WriteFile(file, []byte(difficult), 0o600))
	d, err := read(file)
	require.NoError(t, err)
	const config = `{"text":"a $HOME ` + "`id`" + ` \\ 'x' ${y} %{z}\n\nEOT","number":1.5,"none":null,"empty":{},"list":[]}`

	text, err := adminAPI(d)
	require.NoError(t, err)
	calls := runScript(t, text)
	require.Len(t, calls, 3)
	assert.Equal(t, "/routes/list/plugins", calls[0].path)
	assert.JSONEq(t, `{"name":"datakit","enabled":false,"consumer":{"username":"alice"},"config":`+config+`}`, calls[0].body)
	assert.Equal(t, "/consumer_groups/gold/plugins", calls[1].path)
	assert.JSONEq(t, `{"name":"datakit","protocols":["http","https"]}`, calls[1].body)
	assert.Equal(t, "/plugins", calls[2].path)
	assert.JSONEq(t, `{"name":"rate-limiting","config":{"minute":5}}`, calls[2].body)

	text, err = konnectAPI(d)
	require.NoError(t, err)
	calls = runScript(t, text, ids(d)...)
	require.Len(t, calls, 3)
	assert.JSONEq(t, `{"name":"datakit-go","enabled":false,"consumer":{"id":"id-of-alice"},"config":`+config+`}`, calls[0].body)

	text, err = ingressController(d)
	require.NoError(t, err)
	assert.Contains(t, text, "annotate -n kong ingress list konghq.com/plugins=datakit\n")
	assert.Contains(t, text, "annotate -n kong kongconsumer alice konghq.com/plugins=datakit\n")
	assert.Contains(t, text, "annotate -n kong kongconsumergroup gold konghq.com/plugins=datakit-gold\n")
	assert.Contains(t, text, "disabled: true\n")

	text, err = deck(d)
	require.NoError(t, err)
	var back struct {
		Services []struct {
			Routes []struct{ Plugins []struct{ Name string } }
		}
		Plugins []struct{ Name string }
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &back))
	assert.Equal(t, "datakit-go", back.Services[0].Routes[0].Plugins[0].Name)
	assert.Equal(t, []struct{ Name string }{{"datakit-go"}, {"rate-limiting"}}, back.Plugins)

	text, err = terraform(d)
	require.NoError(t, err)
	assert.Contains(t, text, `text   = "a $HOME `+"`id`"+` \\ 'x' $${y} %%{z}\n\nEOT"`)
	assert.Contains(t, text, `resource "konnect_gateway_custom_plugin" "datakit_2" {`)
	assert.Contains(t, text, `resource "konnect_gateway_plugin_rate_limiting" "rate_limiting" {`)
}

// The plugins accept what is written for the tools that take YAML.
func TestConfigurationsAreValid(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin+"/", "../../cmd/moesif", "../../cmd/keyauth", "../../cmd/datakit").CombinedOutput()
	require.NoError(t, err, string(out))
	for _, dir := range cases(t) {
		d, err := read(filepath.Join(dir, "kong.yml"))
		require.NoError(t, err)
		for _, p := range d.plugins {
			for file, name := range map[string]string{"kong.yml": p.name, "kic.yaml": p.name, "deck.yml": besideKongsOwn(p.name)} {
				out, err := exec.CommandContext(t.Context(), filepath.Join(bin, p.name), "-name", name, "-validate", filepath.Join(dir, file)).CombinedOutput()
				assert.NoError(t, err, string(out))
			}
		}
	}
}

func TestCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args   []string
		status int
		says   string
	}{
		{nil, 2, "render: a file is missing: name a kong.yml; -help lists the flags\n"},
		{[]string{"-to", "kic"}, 2, "a file is missing"},
		{[]string{"kong.yml"}, 2, "give either -to and a tool, or -write"},
		{[]string{"-x"}, 2, "flag provided but not defined: -x; -help lists the flags\n"},
		{[]string{"-to", "helm", "../configure/moesif-users/kong.yml"}, 1, "-to helm: no such tool"},
		{[]string{"-to", "kic", "missing.yml"}, 1, "render: missing.yml: "},
		{[]string{"-to", "kic", "../../docker/Dockerfile"}, 1, "expected a map"},
		{[]string{"-to", "kic", "../configure/moesif-users/kong.yml"}, 0, ""},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, c.status, run(c.args, &stdout, &stderr), c.args)
		assert.Contains(t, stderr.String(), c.says)
		assert.Equal(t, c.status == 0, stdout.Len() > 0)
	}
}
