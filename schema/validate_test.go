package schema_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/schema"
)

func TestValidateFile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file string
		want []string
	}{
		"good kong.yml": {`_format_version: "3.0"
services:
- name: s
  url: http://echo.kongdev
  routes:
  - paths: [/]
    plugins:
    - {name: small, config: {secret: "{vault://env/s}", size: 10.0}}
    - {name: other, config: {anything: 1}}
consumers:
- username: u
  plugins: [{name: small, enabled: yes, protocols: [http], config: {secret: s}}]
plugins:
- name: small
  tags: [a]
  config:
    secret: ${{ env "DECK_SECRET" }}
    size: ${{ env "DECK_SIZE" }}
    masks: ~
`, nil},
		"bad kong.yml": {`services:
- plugins:
  - name: small
    config:
      sise: 7
      size: 0
      masks: [a, 1]
      store:
        prot: 1
  - name: small
    confg: {}
    enabled: 1
    protocols: [http, smtp]
`, []string{
			`f:1: _format_version: required field missing; write _format_version: "3.0"`,
			"f:4: config.secret: required field missing",
			"f:5: config.sise: unknown field; did you mean size?",
			"f:6: config.size: value should be between 1 and 1000",
			"f:7: config.masks[1]: expected a string",
			"f:9: config.store.prot: unknown field; did you mean port?",
			"f:10: config.secret: required field missing",
			"f:11: confg: unknown field; did you mean config?",
			"f:12: enabled: expected a boolean",
			"f:13: protocols[1]: expected one of: grpc, grpcs, http, https",
		}},
		"version as a number": {"_format_version: 3.0\nplugins:\n- name: small\n  config: {secret: s}\n", []string{
			`f:1: _format_version: expected a string; write _format_version: "3.0"`}},
		"another version":    {"_format_version: '4.0'\nplugins: [{name: small, config: {secret: s}}]", []string{"f:1: _format_version: expected one of: 1.1, 2.1, 3.0"}},
		"other plugins only": {"_format_version: '3.0'\nplugins: [{name: smal}, {name: b}]", []string{"f:1: no plugin small in this file; it has smal, b; did you write smal for small?"}},
		"empty":              {"", []string{"f:1: no plugin small in this file"}},
		"comments only":      {"# nothing\n---\n", []string{"f:1: no plugin small in this file"}},
		"text":               {"hello", []string{"f:1: expected a kong.yml, a KongPlugin manifest or the config of a plugin"}},
		"bare config":        {"secret: s\nsize: 1\n", nil},
		"bare JSON":          {"{\"secret\": \"s\",\n\t\"size\": \"1\"}", []string{"f:2: size: expected a number"}},
		"entity":             {"name: small\nconfig:\n  size: 1\n", []string{"f:2: config.secret: required field missing"}},
		"config is a list":   {"name: small\nconfig: [1]\n", []string{"f:2: config: expected a record"}},
		"manifests": {`apiVersion: configuration.konghq.com/v1
kind: KongClusterPlugin
metadata: {name: small}
plugin: small
config:
  size: 1001
  header: no
configPatches:
- path: /secret
  valueFrom: {secretKeyRef: {namespace: kong, name: n, key: k}}
---
apiVersion: v1
kind: Secret
stringData: {secret: x}
---
apiVersion: configuration.konghq.com/v1
kind: KongPlugin
plugin: small
disabld: true
configFrom: {secretKeyRef: {name: n, key: k}}
---
apiVersion: v1
kind: List
items:
- kind: KongPlugin
  plugin: small
  config: {secret: s}
  configFrom: {secretKeyRef: {name: n}}
- kind: KongPlugin
  plugin: other
- kind: KongPlugin
`, []string{
			"f:6: config.size: value should be between 1 and 1000",
			"f:7: config.header: expected a string",
			"f:19: disabld: unknown field; did you mean disabled?",
			"f:28: configFrom: cannot be given together with config; use configPatches for single values",
			"f:28: configFrom.secretKeyRef.key: required field missing",
			"f:31: plugin: required field missing",
		}},
		"patches": {`kind: KongClusterPlugin
plugin: small
configPatches:
- path: /secert
  valueFrom: {secretKeyRef: {namespace: n, name: n, key: k}}
- path: secret
- path: /store/host
  valueFrom: {secretKeyRef: {name: n, key: k}}
- path: /masks/0
- path: /secret
  valueFrom: {}
`, []string{
			"f:4: configPatches[0].path: unknown field secert; did you mean secret?",
			"f:6: configPatches[1].path: expected a JSON pointer into config, for instance /application_id",
			"f:8: configPatches[2].valueFrom.secretKeyRef.namespace: required field missing",
			"f:9: configPatches[3].valueFrom: required field missing",
			"f:11: configPatches[4].valueFrom.secretKeyRef: required field missing",
		}},
		"deck shared config": {"_format_version: '3.0'\nplugins:\n- name: small\n  _config: shared\n  config:\n    size: 0\n", []string{"f:6: config.size: value should be between 1 and 1000"}},
		"twice":              {"secret: s\nsize: 1\nsize: 2\n", []string{"f:3: size: given twice, first in line 2"}},
		"anchors": {`_format_version: "3.0"
_shared: &shared
  secret: s
  size: 0
plugins:
- name: small
  config: *shared
- name: small
  config:
    <<: *shared
    size: 5
- name: small
  config:
    <<: [*shared]
    debug: maybe
`, []string{
			"f:4: config.size: value should be between 1 and 1000",
			"f:15: config.debug: expected a boolean",
		}},
		"not YAML":         {"a: b\n c: [\n", []string{"f:2: is not YAML: mapping values are not allowed in this context"}},
		"key is a list":    {"? [a]\n: 1\nsecret: s", []string{"f:1: a key must be plain text"}},
		"not a number":     {"secret: s\nsize: .nan\ncount: 99999999999999999999999\n", []string{"f:2: size: expected a number", "f:3: count: value should be between -10 and 10"}},
		"secret is hidden": {"secret: [hunter2]\n", []string{"f:1: secret: expected a string"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, p := range small.ValidateFile("small", "f", []byte(c.file), nil) {
				got = append(got, p.String())
			}
			assert.Equal(t, c.want, got)
		})
	}
}

func TestValidateFileOfForbiddenScope(t *testing.T) {
	t.Parallel()
	p := schema.Plugin{Name: "p", Forbidden: []string{"consumer"}}
	problems := p.ValidateFile("p", "f", []byte("name: p\nconfig: {}\nconsumer: {id: x}\nroute: r\n"), nil)
	assert.Equal(t, []schema.Problem{{File: "f", Line: 3, Field: "consumer", Text: "value must be null"}}, problems)
}

// Hostile files end soon, in little memory, with one clear line.
func TestValidateFileBounds(t *testing.T) {
	t.Parallel()
	laughs := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := 1; i < 12; i++ {
		laughs += fmt.Sprintf("a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	for name, c := range map[string]struct{ file, want string }{
		"size":          {strings.Repeat("#", 9<<20), "has 9437184 bytes, more than 8388608"},
		"aliases":       {laughs, "holds more than 500000 values"},
		"depth":         {"secret: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000), "nested deeper than 100 levels"},
		"million":       {"secret: " + strings.Repeat("[", 1_000_000), "is not YAML"},
		"million keys":  {strings.Repeat(`{"a":`, 1_000_000), "is not YAML"},
		"own anchor":    {"secret: &a [*a]", ""},
		"merges itself": {"secret: s\nstore: &a\n  <<: *a\n", ""},
		"long paths":    {"labels: " + strings.Repeat("{"+strings.Repeat("k", 300)+": ", 90) + "1" + strings.Repeat("}", 90), "labels.kkk"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			problems := small.ValidateFile("small", "f", []byte(c.file), nil)
			require.NotEmpty(t, problems)
			assert.Less(t, len(problems), 502)
			var b bytes.Buffer
			for _, p := range problems {
				fmt.Fprintln(&b, p)
			}
			assert.Contains(t, b.String(), c.want)
		})
	}
	many := strings.Repeat("- {name: small, config: {size: 0}}\n", 1000)
	problems := small.ValidateFile("small", "f", []byte("_format_version: '3.0'\nplugins:\n"+many), nil)
	assert.Len(t, problems, 501)
	assert.Equal(t, "and 1500 more problems", problems[500].Text)
}

// FuzzValidateFile: no panic, and each problem is a line of the file.
func FuzzValidateFile(f *testing.F) {
	for _, s := range []string{
		"_format_version: '3.0'\nplugins:\n- name: small\n  config: {secret: s, size: 0}\n",
		"kind: KongPlugin\nplugin: small\nconfigPatches: [{path: /a, valueFrom: {secretKeyRef: {}}}]\n",
		"secret: &a [*a]\n<<: {a: b}\n", "? [a]\n: 1\n", "{\"secret\":\"s\"}", "a: b\n c: [\n", "---\n...\n---\n", "secret: !!binary YQ==\nsize: !!int x\n",
		"services:\n- &x\n  routes: [*x]\n", "\xff\xfe", "kind: List\nitems: [{kind: List, items: [1]}]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bytes.Count(data, []byte("\n")) + 1
		for _, p := range small.ValidateFile("small", "f", data, nil) {
			assert.True(t, p.Line >= 1 && p.Line <= lines, "%v of %d lines", p, lines)
			assert.NotEmpty(t, p.Text)
			assert.NotContains(t, p.String(), "\n")
		}
	})
}

func TestValidateFileAsksThePlugin(t *testing.T) {
	p := schema.Plugin{Name: "small", Fields: []schema.Field{
		{Name: "size", Type: schema.Number, Default: 5}, {Name: "path", Type: schema.String}, {Name: "secret", Type: schema.String, Referenceable: true, Required: true},
		{Name: "also", Type: schema.Array, Elements: &schema.Field{Type: schema.String, Referenceable: true}},
		{Name: "shared", Type: schema.Record, Fields: []schema.Field{
			{Name: "texts", Type: schema.Map, Keys: &schema.Field{Type: schema.String}, Values: &schema.Field{Type: schema.String, Referenceable: true}},
			{Name: "password", Type: schema.String, Referenceable: true},
		}},
		{Name: "extra", Type: schema.String, Referenceable: true},
	}, Checks: []schema.Check{{Conditional: &schema.Conditional{
		IfField: "path", IfMatch: schema.Field{Eq: "wants extra"}, ThenField: "extra", ThenMatch: schema.Field{Required: true}, ThenErr: "path wants extra",
	}}}}
	check := func(config []byte) error {
		var into struct {
			Size   int      `json:"size"`
			Path   string   `json:"path"`
			Secret string   `json:"secret"`
			Also   []string `json:"also"`
			Shared struct {
				Texts    map[string]string `json:"texts"`
				Password string            `json:"password"`
			} `json:"shared"`
		}
		err := p.Decode(config, &into)
		if into.Path == "other" && into.Also == nil {
			err = errors.Join(err, &schema.FieldError{Field: "path", Text: "is not one of also", Beside: []string{"also"}})
		}
		if name, ok := strings.CutPrefix(into.Path, "texts."); ok && into.Shared.Texts[name] == "" {
			err = errors.Join(err, &schema.FieldError{Field: "path", Text: "names no text"})
		}
		if strings.Contains(string(config), "vault://") || into.Shared.Password != "" {
			err = errors.Join(err, errors.New("a reference, or a password, has come through"))
		}
		if into.Path == "bad" {
			err = errors.Join(err, errors.New("path: cannot be read"))
		}
		return err
	}
	for _, c := range []struct{ name, file, want string }{
		{"good", "size: 5\nsecret: s\n", ""},
		{"not whole", "secret: s\nsize: 1.5\n", "f:2: size: expected an integer"},
		{"the plugin's own rule", "secret: s\npath: bad\n", "f:2: path: cannot be read"},
		{"known later", "secret: '{vault://env/x}'\nsize: 5\n", ""},
		{"known later, and wrong elsewhere", "secret: '{vault://env/x}'\nsize: 5.5\n", "f:2: size: expected an integer"},
		{"not certain", "secret: s\npath: other\nalso: ['{vault://env/x}']\n", "f:2: warning: path: is not one of also; that is not certain, because also is known only when the configuration is used"},
		{"the key of a text that is known later", "secret: s\npath: texts.a\nshared: {texts: {a: '{vault://env/x}'}, password: '{vault://env/y}'}\n", ""},
		{"another key", "secret: s\npath: texts.b\nshared: {texts: {a: '{vault://env/x}'}}\n", "f:2: path: names no text"},
		{"what goes together with a value that is known later", "secret: s\npath: wants extra\nextra: '{vault://env/x}'\n", ""},
		{"certain", "secret: s\npath: other\n", "f:2: path: is not one of also"},
		{"the schema's mistakes come alone", "path: bad\n", "f:1: secret: required field missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range p.ValidateFile("small", "f", []byte(c.file), check) {
				got = append(got, p.String())
			}
			assert.Equal(t, c.want, strings.Join(got, "\n"))
		})
	}
}

// What a configuration is for is told to the plugin as Kong does, and its objection stands where the file says so.
func TestValidateFileKnowsAConsumersConfiguration(t *testing.T) {
	p := schema.Plugin{Name: "small", Fields: []schema.Field{{Name: "size", Type: schema.Integer, Default: 5}}}
	check := func(config []byte) error {
		if strings.Contains(string(config), `"consumer_id":"`) {
			return &schema.FieldError{Field: "consumer", Text: "is not possible"}
		}
		return nil
	}
	for _, c := range []struct{ name, file, want string }{
		{"for everything", "plugins:\n- name: small\n", ""},
		{"for a service", "plugins:\n- name: small\n  service: a\n  consumer: null\n", ""},
		{"for a consumer", "plugins:\n- name: small\n  config: {size: 1}\n  consumer: bob\n- name: small\n", "f:5: consumer: is not possible"},
		{"by id", "plugins:\n- name: small\n  consumer: {id: x}\n", "f:4: consumer: is not possible"},
		{"within the consumer", "consumers:\n- username: bob\n  plugins:\n  - name: small\nservices:\n- name: a\n  plugins:\n  - name: small\n", "f:3: consumer: is not possible"},
		{"the schema's mistakes come alone", "plugins:\n- name: small\n  config: {size: 1.5}\n  consumer: bob\n", "f:4: config.size: expected an integer"},
		{"no list", "plugins: small\n", "f:2: plugins: expected an array"},
		{"an empty list", "plugins:\n", "f:1: no plugin small in this file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range p.ValidateFile("small", "f", []byte("_format_version: \"3.0\"\n"+c.file), check) {
				got = append(got, p.String())
			}
			assert.Equal(t, c.want, strings.Join(got, "\n"))
		})
	}
}
