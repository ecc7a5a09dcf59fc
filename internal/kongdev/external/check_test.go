package external

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckDump(t *testing.T) {
	// A dump with one thing changed; "" takes it out.
	changed := func(field, value string) string {
		fields := map[string]string{"Name": `"p"`, "Phases": `["access"]`, "Version": `"1.2.3"`, "Priority": "5", "Schema": `{"name":"p","fields":[{"config":{"type":"record","fields":[]}}]}`}
		if field != "" {
			fields[field] = value
		}
		var parts []string
		for name, value := range fields {
			if value != "" {
				parts = append(parts, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return `{"Protocol":"ProtoBuf:1","SocketPath":"/x/p.socket","Plugins":[{` + strings.Join(parts, ",") + `}]}`
	}
	good := changed("", "")
	badSchema := `{"name":"p","fields":[{"config":{"type":"record","fields":[{"a":{"type":"strng"}},{"b":{"type":"array"}}]}}]}`
	for _, c := range []struct {
		name, dump string
		want       []string // verdict and text
	}{
		{"good", good, nil},
		{"empty", "", []string{"refused: failed decoding plugin info: unexpected end of JSON input"}},
		{"text before it", "hello " + good, []string{"refused: failed decoding plugin info: invalid character 'h'"}},
		{"a number", "7", []string{"refused: not a plugin info table"}},
		{"no plugins", `{"Protocol":"ProtoBuf:1"}`, []string{"refused: attempt to index local 'info' (a nil value)"}},
		{"a plugin that is a text", `{"Plugins":["x"]}`, []string{"refused: attempt to index local 'info' (a string value)"}},
		{"protocol", strings.Replace(good, "ProtoBuf:1", "ProtoBuf:2", 1), []string{"fails: unknown protocol implementation: ProtoBuf:2"}},
		{"message pack", strings.Replace(good, "ProtoBuf:1", "MsgPack:1", 1), []string{`remark: protocol "MsgPack:1" is not in kongdev`}},
		{"fields are told by case", strings.Replace(good, "Plugins", "plugins", 1), []string{"refused: attempt to index local 'info'"}},
		{"no name", changed("Name", ""), []string{"refused: table index is nil"}},
		{"another name", changed("Name", `"q"`), []string{`remark: the plugin calls itself "q" and its plugin server "p"`}},
		{"a name of Kong's", changed("Name", `"key-auth"`), []string{`fails: plugin "key-auth" is part of Kong`}},
		{"no priority", changed("Priority", ""), []string{"refused: p plugin is enabled but not installed;\nno plugin found"}},
		{"half a priority", changed("Priority", "1.5"), []string{`refused: Plugin "p" cannot be loaded because its PRIORITY field is not a valid integer number, got: "1.5"`}},
		{"priority as text", changed("Priority", `"5"`), []string{`refused: Plugin "p" cannot be loaded because its PRIORITY field is not a valid integer number, got: "5"`}},
		{"no version", changed("Version", ""), []string{`refused: Plugin "p" cannot be loaded because its VERSION field does not follow the "x.y.z" format, got: "nil"`}},
		{"four numbers", changed("Version", `"1.2.3.4"`), []string{`refused: Plugin "p" cannot be loaded because its VERSION field does not follow the "x.y.z" format, got: "1.2.3.4"`}},
		{"no phases", changed("Phases", ""), []string{"refused: bad argument #1 to 'for iterator' (table expected, got nil)"}},
		{"an empty list of phases", changed("Phases", "[]"), []string{"remark: the dump lists no phase"}},
		{"a phase of no plugin server", changed("Phases", `["body_filter"]`), []string{`fails: unknown phase "body_filter"`}},
		{"unknown phase", changed("Phases", `["acces"]`), []string{`fails: unknown phase "acces"`}},
		{"response and a filter", changed("Phases", `["response","header_filter"]`), []string{
			`fails: unknown phase "header_filter"`, "refused: Plugin \"p\" can't be loaded because it implements both `response` and `header_filter` or `body_filter` methods.",
		}},
		{"no schema", changed("Schema", ""), []string{"refused: no configuration schema found for plugin: p"}},
		{"schema is null", changed("Schema", "null"), []string{"refused: no configuration schema found for plugin: p"}},
		{"two mistakes in the schema", changed("Schema", badSchema), []string{
			"refused: on plugin 'p': schema violation (config.a.type: invalid type: strng)", "refused: on plugin 'p': schema violation (config.b",
		}},
		{"another socket", strings.Replace(good, "/x/p.socket", "/x/q.socket", 1), []string{"remark: the dump tells the socket q.socket, which Kong ignores"}},
		{"two plugins", strings.Replace(good, "]}", `,{}]}`, 1), nil},
		{"everything", `{"Protocol":"x","Plugins":[{"Phases":1,"Version":1,"Priority":true,"Schema":1}]}`, []string{
			"refused: table index is nil", "fails: unknown protocol implementation: x", `refused: Plugin "?" cannot be loaded because its PRIORITY`,
			`refused: Plugin "?" cannot be loaded because its VERSION`, "refused: bad argument #1 to 'for iterator' (table expected, got number)", "refused: no configuration schema found",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "two plugins" {
				c.dump = strings.TrimSuffix(good, "]}") + ",{}]}"
				c.want = []string{"remark: the dump lists 2 plugins, Kong 3.9 takes the first one only"}
			}
			_, problems := CheckDump("p", []byte(c.dump))
			require.Len(t, problems, len(c.want), "%v", problems)
			worst := Remark
			for i, p := range problems {
				assert.True(t, strings.HasPrefix(p.Verdict.String()+": "+p.Text, c.want[i]), "%s: %s", p.Verdict, p.Text)
				assert.NotEmpty(t, p.Remedy)
				worst = max(worst, p.Verdict)
			}
			if !strings.Contains(c.dump, "MsgPack") && !strings.Contains(c.dump, "key-auth") && !strings.Contains(c.name, "in the schema") {
				_, err := parseDump([]byte(c.dump))
				assert.Equal(t, worst > Remark, err != nil, "kongdev runs what Kong runs: %v", err)
			}
		})
	}
}

// Any output gets a verdict, and what kongdev takes is what Kong takes.
func FuzzCheckDump(f *testing.F) {
	f.Add([]byte(goodDump))
	f.Add([]byte(`{"Plugins":[{"Name":"p","Phases":[1,{}],"Schema":{"fields":1}}]}`))
	f.Add([]byte(`[null]`))
	f.Fuzz(func(t *testing.T, dump []byte) {
		info, problems := CheckDump("p", dump)
		refused := false
		for _, p := range problems {
			if p.Text == "" || p.Remedy == "" {
				t.Fatalf("a problem without words: %+v", p)
			}
			refused = refused || p.Verdict > Remark
		}
		if !refused && (info.Name == "" || !json.Valid(info.Schema) || !versionPattern.MatchString(info.Version)) {
			t.Fatalf("accepted: %+v", info)
		}
		if _, err := parseDump(dump); err != nil && !refused && !strings.Contains(err.Error(), "MsgPack") {
			t.Fatalf("kongdev does not run what Kong runs: %v", err)
		}
	})
}

func TestCheckPlugin(t *testing.T) {
	_, problems := Check(t.Context(), Server{Name: "p", QueryCmd: "echo oops >&2; exit 3"})
	require.Len(t, problems, 1)
	assert.Equal(t, `failed decoding plugin info: unexpected end of JSON input: query command "echo oops >&2; exit 3": exit status 3 oops`, problems[0].Text)
	info, problems := Check(t.Context(), Server{Name: "p", QueryCmd: "echo '" + goodDump + "' | sed s,/x,/x/p.socket,; exit 3"})
	assert.Equal(t, "p", info.Name)
	require.NotEmpty(t, problems, "its schema has no fields")
	assert.Contains(t, problems[0].Text, "schema violation")
}
