package pluginserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// threePhases has handlers for rewrite, access and log; its certificate has the wrong signature.
type threePhases struct{}

func (*threePhases) Log(*pdk.PDK)               {}
func (*threePhases) Access(*pdk.PDK)            {}
func (*threePhases) Rewrite(*pdk.PDK)           {}
func (*threePhases) Certificate(*pdk.PDK) error { return nil }
func (*threePhases) Warnings() []string         { return []string{"say: is old"} }

func flagsPlugin() Plugin {
	p := demoPlugin("1.0.0")
	p.New = func() any { return &threePhases{} }
	var file string
	p.Flags = func(f *flag.FlagSet) {
		f.Int("spool-mb", 64, "size of the spool in `MB`")
		f.StringVar(&file, "ca", "", "a `file`")
	}
	p.CheckFlags = func() error {
		if file == "absent" {
			return errors.New("-ca: not there")
		}
		return nil
	}
	return p
}

func TestOptions(t *testing.T) {
	base := func() options {
		return options{name: "demo", socket: "/usr/local/kong/demo.socket", phases: []string{"rewrite", "access", "log"}}
	}
	cwd, err := os.Getwd()
	require.NoError(t, err)
	for _, tc := range []struct {
		line string
		want func(o *options)
		err  string
	}{
		{line: "/usr/local/bin/demo"},
		{line: "/opt/analytics-2", want: func(o *options) { o.name, o.socket = "analytics-2", "/usr/local/kong/analytics-2.socket" }},
		{line: "/tmp/main.test"},
		{line: "demo -kong-prefix /k", want: func(o *options) { o.socket = "/k/demo.socket" }},
		{line: "demo -kong-prefix k", want: func(o *options) { o.socket = cwd + "/k/demo.socket" }},
		{line: "demo -name two -kong-prefix=/k/", want: func(o *options) { o.name, o.socket = "two", "/k/two.socket" }},
		{line: "demo --phases log,access", want: func(o *options) { o.phases = []string{"access", "log"} }},
		{line: "demo -phases log,body_filter", err: `-phases "body_filter": the plugin has rewrite, access, log`},
		{line: "demo -phases certificate", err: `-phases "certificate": the plugin has`},
		{line: "demo -phases=", err: `-phases "": the plugin has`},
		{line: "demo -name a/b", err: `-name "a/b": expected 1 to 128 letters`},
		{line: "demo -refuse exit -log-level debug -log-format json", want: func(o *options) {
			o.refuseByExit, o.log = true, logOptions{level: -4, asJSON: true}
		}},
		{line: "demo -refuse never", err: `-refuse "never": expected delayed or exit`},
		{line: "demo -log-level x -log-format y", err: "-log-level \"x\": expected debug, info, warn or error\n-log-format \"y\""},
		{line: "demo -metrics 127.0.0.1:9000", want: func(o *options) { o.metrics = "127.0.0.1:9000" }},
		{line: "demo -metrics unix:/run/m", want: func(o *options) { o.metrics = "unix:/run/m" }},
		{line: "demo -metrics 9000", err: `-metrics "9000": expected host:port`},
		{line: "demo -metrics :99999", err: `-metrics ":99999": expected host:port`},
		{line: "demo -metrics unix:m", err: `-metrics "unix:m": expected unix: and an absolute path`},
		{line: "demo -dump -kong-prefix /k", want: func(o *options) { o.action, o.socket = dumpAction, "/k/demo.socket" }},
		{line: "demo -version", want: func(o *options) { o.action = versionAction }},
		{line: "demo -help", want: func(o *options) { o.action = helpAction }},
		{line: "demo -check", want: func(o *options) { o.action = checkAction }},
		{line: "demo -validate f", want: func(o *options) { o.action, o.validate = validateAction, "f" }},
		{line: "demo -validate=", err: "-validate: a file name is missing"},
		{line: "demo -schema md", want: func(o *options) { o.action, o.schema = schemaAction, "md" }},
		{line: "demo -schema xml", err: `-schema "xml": expected lua, json or md`},
		{line: "demo -dump -check", err: "-check and -dump: one at a time"},
		{line: "demo -spool-mb 5"},
		{line: "demo -spool-mb x", err: "-spool-mb"},
		{line: "demo -ca absent -refuse never", err: "-refuse \"never\": expected delayed or exit\n-ca: not there"},
		{line: "demo -ca absent -dump", want: func(o *options) { o.action = dumpAction }},
		{line: "demo -wat", err: "flag provided but not defined: -wat"},
		{line: "demo serve", err: `argument "serve": not expected`},
	} {
		o, err := parseOptions(flagsPlugin(), strings.Fields(tc.line))
		assert.Contains(t, o.usage, "usage: ", tc.line)
		if tc.err != "" {
			assert.ErrorContains(t, err, tc.err, tc.line)
			continue
		}
		if !assert.NoError(t, err, tc.line) {
			continue
		}
		want := base()
		if tc.want != nil {
			tc.want(&want)
		}
		o.usage = ""
		assert.Equal(t, want, o, tc.line)
	}
}

func FuzzPhases(f *testing.F) {
	f.Add("access,log")
	f.Add(" log ,")
	f.Fuzz(func(t *testing.T, list string) {
		got, err := parsePhases(flagsPlugin(), list, true)
		if err != nil {
			return
		}
		require.NotEmpty(t, got)
		last := -1
		for _, name := range got {
			place := strings.Index("rewrite access log", name)
			require.Greater(t, place, last, "kong's order, each once: %v", got)
			require.Contains(t, list, name)
			last = place
		}
	})
}

func TestCommands(t *testing.T) {
	good := filepath.Join(t.TempDir(), "good.json")
	require.NoError(t, os.WriteFile(good, []byte(`{"say": "hello"}`), 0o600))
	bad := filepath.Join(t.TempDir(), "bad.json")
	require.NoError(t, os.WriteFile(bad, []byte(`{"say": 1, "shout": true}`), 0o600))
	for _, tc := range []struct {
		line        string
		status      int
		out, errOut []string
	}{
		{"demo -version", 0, []string{"demo 1.0.0 (build unknown, go1.", ", go-pdk "}, nil},
		{"demo -help", 0, []string{"usage: demo [flags]", "-spool-mb MB", "-kong-prefix folder", "HUP hands over"}, nil},
		{"demo -h", 0, []string{"usage: demo [flags]"}, nil},
		{"demo -schema lua -name demo-go", 0, []string{"demo-go", "say"}, nil},
		{"demo -schema json", 0, []string{`"say"`}, nil},
		{"demo -schema md", 0, []string{"say"}, nil},
		{"demo -wat", 2, nil, []string{"demo: flag provided but not defined: -wat\ndemo -help lists the flags\n"}},
		{"demo -validate " + good, 0, []string{good + ": warning: say: is old", "no mistake found"}, nil},
		{"demo -validate " + bad, 1, []string{"bad.json:1: ", "say", "shout"}, []string{"2 mistakes found"}},
		{"demo -validate /no/such/file", 1, nil, []string{"demo: -validate: open /no/such/file: no such file or directory"}},
		{"demo -check -kong-prefix /no/such", 1, nil, []string{"demo: check: there is no socket /no/such/demo.socket; start the plugin server"}},
	} {
		var out, errOut bytes.Buffer
		assert.Equal(t, tc.status, runCommand(flagsPlugin(), strings.Fields(tc.line), &out, &errOut), tc.line)
		for _, want := range tc.out {
			assert.Contains(t, out.String(), want, tc.line)
		}
		for _, want := range tc.errOut {
			assert.Contains(t, errOut.String(), want, tc.line)
		}
		if tc.status == 0 {
			assert.Empty(t, errOut.String(), tc.line)
		}
	}
}

func TestValidateStandardInput(t *testing.T) {
	read, write, err := os.Pipe()
	require.NoError(t, err)
	_, err = write.WriteString(`{"say": 1}`)
	require.NoError(t, err)
	require.NoError(t, write.Close())
	defer func(stdin *os.File) { os.Stdin = stdin }(os.Stdin)
	os.Stdin = read
	defer read.Close()
	var out, errOut bytes.Buffer
	assert.Equal(t, 1, runCommand(flagsPlugin(), strings.Fields("demo -validate -"), &out, &errOut))
	assert.Contains(t, out.String(), "standard input:1: ")
	assert.Contains(t, errOut.String(), "1 mistake found")
}

func TestDumpCommand(t *testing.T) {
	var out, errOut bytes.Buffer
	require.Zero(t, runCommand(flagsPlugin(), strings.Fields("demo -dump -phases access -kong-prefix /k"), &out, &errOut))
	assert.Empty(t, errOut.String())
	var d struct {
		Protocol, SocketPath string
		Plugins              []map[string]any
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &d))
	assert.Equal(t, "ProtoBuf:1", d.Protocol)
	assert.Equal(t, "/k/demo.socket", d.SocketPath)
	require.Len(t, d.Plugins, 1)
	assert.Equal(t, []any{"access"}, d.Plugins[0]["Phases"])
	assert.Equal(t, "1.0.0", d.Plugins[0]["Version"])
	assert.EqualValues(t, 10, d.Plugins[0]["Priority"])
}

func TestPluginWithoutPhases(t *testing.T) {
	p := flagsPlugin()
	p.New = func() any { return &struct{}{} }
	var out, errOut bytes.Buffer
	assert.Equal(t, 1, runCommand(p, []string{"demo", "-dump"}, &out, &errOut))
	assert.Contains(t, errOut.String(), "the plugin has no phase")
	assert.Empty(t, out.String())
}

func TestGreetingSaysWhatToDoNext(t *testing.T) {
	text := greeting(flagsPlugin(), options{name: "key-2", socket: "/k/key-2.socket"}, "/opt/key-2")
	for _, want := range []string{"key-2 1.0.0 is a plugin server", "plugins = bundled,key-2", "pluginserver_key_2_socket = /k/key-2.socket",
		"pluginserver_key_2_query_cmd = /opt/key-2 -dump", "Ctrl-C", "-check", "kongdev"} {
		assert.Contains(t, text, want)
	}
	assert.NotContains(t, text, "%!")
}
