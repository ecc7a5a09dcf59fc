package schema_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	lua "github.com/yuin/gopher-lua"

	"kong-go-plugins/schema"
)

// luaPrinter is Lua that prints a schema as JSON: tables with a key 1 as lists, {} as an empty list.
const luaPrinter = `
local function text(s)
  return '"' .. s:gsub('[%c"\\\127]', function(c) return string.format('\\u%04x', c:byte()) end) .. '"'
end
local function json(v)
  if type(v) == "table" then
    local out = {}
    if v[1] ~= nil or next(v) == nil then
      for i = 1, #v do out[i] = json(v[i]) end
      return "[" .. table.concat(out, ",") .. "]"
    end
    for k, e in pairs(v) do
      assert(type(k) == "string", "key")
      out[#out + 1] = text(k) .. ":" .. json(e)
    end
    table.sort(out)
    return "{" .. table.concat(out, ",") .. "}"
  elseif type(v) == "string" then return text(v)
  elseif type(v) == "number" then return string.format("%.17g", v)
  elseif type(v) == "boolean" then return tostring(v)
  end
  error("a schema cannot hold a " .. type(v))
end
`

// machines are the Lua machines at hand, each of which runs a schema without any library.
func machines() map[string]func(t testing.TB, source string) string {
	m := map[string]func(t testing.TB, source string) string{"gopher-lua": runGopherLua}
	if path, err := exec.LookPath("lua5.1"); err == nil {
		m["lua5.1"] = func(t testing.TB, source string) string { return runLua51(t, path, source) }
	}
	return m
}

func runGopherLua(t testing.TB, source string) string {
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	chunk, err := l.LoadString(source)
	require.NoError(t, err, source)
	l.Push(chunk) // the schema runs with no library at all
	require.NoError(t, l.PCall(0, 1, nil), source)
	table := l.Get(-1)
	l.G.Global.ForEach(func(k, _ lua.LValue) { t.Errorf("the schema leaves a global %s", k) })
	for name, open := range map[string]lua.LGFunction{"": lua.OpenBase, "string": lua.OpenString, "table": lua.OpenTable} {
		l.Push(l.NewFunction(open))
		l.Push(lua.LString(name))
		l.Call(1, 0)
	}
	l.SetGlobal("schema", table)
	require.NoError(t, l.DoString(luaPrinter+"return json(schema)"))
	return l.Get(-1).String()
}

func runLua51(t testing.TB, path, source string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "schema.lua"), []byte(source), 0o600))
	script := `local chunk = assert(loadfile("schema.lua"))
local env = {}
setfenv(chunk, env)
local schema = chunk()
assert(next(env) == nil, "the schema leaves a global")
` + luaPrinter + `io.write(json(schema))`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "run.lua"), []byte(script), 0o600))
	cmd := exec.Command(path, "run.lua")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, source)
	return string(out)
}

// withoutTexts is a dump as schema.lua should hold it: no texts, and {} as Lua has it.
func withoutTexts(t *testing.T, dump []byte) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(dump, &v))
	var strip func(any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			if _, isField := v["type"].(string); isField {
				delete(v, "description")
				delete(v, "examples")
				delete(v, "deprecation")
			}
			if len(v) == 0 {
				return []any{}
			}
			for k, e := range v {
				v[k] = strip(e)
			}
		case []any:
			for i, e := range v {
				v[i] = strip(e)
			}
		}
		return v
	}
	return strip(v)
}

// luaSafe is everything but what Lua cannot say.
func luaSafe() schema.Plugin {
	p := everything
	p.Fields = slices.Clone(p.Fields)
	p.Fields = slices.DeleteFunc(p.Fields, func(f schema.Field) bool { return f.Name == "not_null" || f.Name == "never" })
	return p
}

// The generated Lua declares what the dump declares: fields, types, defaults, constraints, checks, in the same order.
func TestLuaAgreesWithDump(t *testing.T) {
	t.Parallel()
	for name, run := range machines() {
		for _, p := range []schema.Plugin{small, luaSafe(), {Name: "nothing"}} {
			t.Run(name+"/"+p.Name, func(t *testing.T) {
				t.Parallel()
				source, err := p.Lua("another-name")
				require.NoError(t, err)
				again, err := p.Lua("another-name")
				require.NoError(t, err)
				assert.Equal(t, string(source), string(again), "same bytes each time")
				for _, word := range []string{"require", "function", "description", "--"} {
					assert.NotContains(t, strings.ReplaceAll(string(source), "required", ""), word)
				}
				got := run(t, string(source))
				want, err := json.Marshal(withoutTexts(t, p.DumpSchema("another-name")))
				require.NoError(t, err)
				assert.JSONEq(t, string(want), got)
				back, err := schema.FromDump([]byte(got))
				if p.Name == "small" {
					require.NoError(t, err, "Kong takes it")
					assert.Len(t, back.Fields, len(p.Fields))
				}
			})
		}
	}
}

func TestLuaText(t *testing.T) {
	t.Parallel()
	list := []any{"one", "two", "three", "four"}
	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "a", Type: schema.String, OneOf: list, Description: "Not in this form."},
		{Name: "b", Type: schema.String, OneOf: list, Default: "one"},
		{Name: "end", Type: schema.Number, Default: 0.5, Between: []float64{-1, 1e21}},
	}}
	source, err := p.Lua("p-2")
	require.NoError(t, err)
	assert.Equal(t, `local a={"one","two","three","four"}
local b={"grpc","grpcs","http","https"}
return{name="p-2",fields={
{protocols={type="set",required=true,default=b,elements={type="string",one_of=b}}},
{config={type="record",required=true,fields={
{a={type="string",one_of=a}},
{b={type="string",default="one",one_of=a}},
{["end"]={type="number",default=0.5,between={-1,1e21}}}}}}}}
`, string(source))
}

func TestLuaRefuses(t *testing.T) {
	t.Parallel()
	long := schema.Plugin{Name: "p"}
	for i := range 200 {
		long.Fields = append(long.Fields, schema.Field{Name: fmt.Sprintf("a_field_with_a_long_name_%d", i), Type: schema.String, Match: fmt.Sprint(i)})
	}
	for want, p := range map[string]schema.Plugin{
		"a control plane takes less than 8192": long,
		"cannot hold null":                     everything,
		"is no name for a control plane":       {Name: "a.b"},
		"holds text that is not UTF-8":         {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Match: "\xff"}}},
		"not UTF-8":                            {Name: "p", Fields: []schema.Field{{Name: "a", Type: schema.String, Default: "\xff"}}},
	} {
		source, err := p.Lua(p.Name)
		assert.ErrorContains(t, err, want)
		assert.Nil(t, source)
	}
	_, err := small.Lua(strings.Repeat("x", 129))
	assert.ErrorContains(t, err, "at most 128")
}

// A table that is shared must not be one that Kong changes by where it stands.
func TestLuaSharesNoFields(t *testing.T) {
	t.Parallel()
	inner := []schema.Field{{Name: "deep", Type: schema.Record, Fields: []schema.Field{{Name: "a_long_name_for_a_field", Type: schema.String}}}}
	match := schema.Field{OneOf: []any{"a long value", "another long value"}, Required: true}
	p := schema.Plugin{Name: "p", Fields: []schema.Field{
		{Name: "one", Type: schema.Record, Fields: inner},
		{Name: "two", Type: schema.Array, Elements: &schema.Field{Type: schema.Record, Fields: inner}},
		{Name: "x", Type: schema.String}, {Name: "y", Type: schema.String},
	}, Checks: []schema.Check{
		{Conditional: &schema.Conditional{IfField: "x", IfMatch: match, ThenField: "y", ThenMatch: match}},
	}}
	source, err := p.Lua("p")
	require.NoError(t, err)
	assert.Equal(t, 2, strings.Count(string(source), "deep="), string(source))
	assert.Equal(t, 2, strings.Count(string(source), "_match={"), string(source))
}

// FuzzLuaString: any text comes back from Lua as it was, or is refused because it is not UTF-8.
func FuzzLuaString(f *testing.F) {
	for _, s := range []string{"", `"`, `\`, "a\nb\r\n", "\x000", "\x7f9", "]]--", "é\u2028", "\xff", "%d", `\n"..os.exit()..\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := schema.Plugin{Name: "p", Fields: []schema.Field{{Name: "f", Type: schema.String, LenMin: new(0), Default: s, Err: "x" + s}}}
		source, err := p.Lua("p")
		if err != nil {
			assert.True(t, !utf8.ValidString(s) || len(s) > 4000, "%q: %v", s, err)
			return
		}
		assert.True(t, utf8.Valid(source))
		var got struct {
			Fields []map[string]struct {
				Fields []map[string]struct {
					Default, Err string
				}
			}
		}
		require.NoError(t, json.NewDecoder(bytes.NewReader([]byte(runGopherLua(t, string(source))))).Decode(&got))
		assert.Equal(t, s, got.Fields[1]["config"].Fields[0]["f"].Default)
		assert.Equal(t, "x"+s, got.Fields[1]["config"].Fields[0]["f"].Err)
	})
}
