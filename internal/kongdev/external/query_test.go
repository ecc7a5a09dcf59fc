package external

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const goodDump = `{"Protocol":"ProtoBuf:1","SocketPath":"/x","Plugins":[{"Name":"p","Phases":["access"],"Version":"1.2.3","Priority":5,"Schema":{"name":"p"}}]}`

func TestParseDump(t *testing.T) {
	info, err := parseDump([]byte(goodDump))
	require.NoError(t, err)
	assert.Equal(t, Info{Name: "p", Version: "1.2.3", Priority: 5, Phases: []string{"access"}, Schema: json.RawMessage(`{"name":"p"}`)}, info)

	tests := []struct{ name, dump, want string }{
		{"empty", ``, "failed decoding plugin info"},
		{"no JSON", `hello`, "failed decoding plugin info"},
		{"text after it", goodDump + "x", "failed decoding plugin info"},
		{"a number", `7`, "not a plugin info table"},
		{"no plugin", `{"Protocol":"ProtoBuf:1","Plugins":[]}`, "lists no plugin"},
		{"no name", `{"Protocol":"ProtoBuf:1","Plugins":[{"Priority":1}]}`, "no Name"},
		{"message pack", `[{"Name":"p"}]`, `protocol "MsgPack:1" is not in kongdev`},
		{"no priority", `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p"}]}`, "no plugin found"},
		{"half a priority", `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Priority":1.5}]}`, "not a valid integer number, got: \"1.5\""},
		{"version", `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Priority":1,"Version":"v1"}]}`, `does not follow the "x.y.z" format, got: "v1"`},
		{"phase", `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Priority":1,"Version":"1","Phases":["body_filter"],"Schema":{}}]}`, `unknown phase "body_filter"`},
		{"schema", `{"Protocol":"ProtoBuf:1","Plugins":[{"Name":"p","Priority":1,"Version":"1","Phases":[]}]}`, "no Schema"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := parseDump([]byte(tt.dump))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add([]byte(goodDump))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, dump []byte) {
		info, err := parseDump(dump)
		if err == nil {
			require.NotEmpty(t, info.Name)
			require.True(t, json.Valid(info.Schema))
			require.Regexp(t, versionPattern, info.Version)
		}
	})
}

func TestQueryPlugin(t *testing.T) {
	ctx := context.Background()
	info, err := Query(ctx, Server{Name: "p", QueryCmd: "echo '" + goodDump + "'; exit 3"})
	require.NoError(t, err, "the exit status does not count")
	assert.Equal(t, "p", info.Name)
	assert.Equal(t, "p", info.Server)

	_, err = QueryAll(ctx, []Server{{Name: "p"}})
	require.ErrorContains(t, err, "failed loading external plugins: query_command undefined for pluginserver p")
	_, err = Query(ctx, Server{Name: "p", QueryCmd: "/nowhere/at/all -dump"})
	require.ErrorContains(t, err, "/nowhere/at/all")
	require.ErrorContains(t, err, "exit status 127")
}
