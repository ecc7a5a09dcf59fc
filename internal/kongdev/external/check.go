package external

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kong-go-plugins/internal/kongdev/declarative"
	"kong-go-plugins/schema"
)

// A Verdict is what Kong makes of a problem with a plugin's description.
type Verdict int

// Verdicts, the mildest first.
const (
	Remark  Verdict = iota // Kong takes it, and it may be a mistake
	Fails                  // Kong starts, and the plugin's requests fail
	Refused                // Kong does not start
)

func (v Verdict) String() string {
	return []string{"remark", "fails", "refused"}[v]
}

// A Problem is something about a plugin's description. Text is Kong's own message where it has one.
type Problem struct {
	Verdict      Verdict
	Text, Remedy string
}

func (p *Problem) Error() string { return p.Text + ": " + p.Remedy }

// A dumpReader reads a query command's output by the rules of Kong 3.9 and notes what is wrong with it.
type dumpReader struct {
	info     Info
	protocol string
	socket   string
	problems []*Problem
}

func (r *dumpReader) note(v Verdict, remedy, format string, args ...any) {
	r.problems = append(r.problems, &Problem{v, fmt.Sprintf(format, args...), remedy})
}

// worst is the first of the worst problems, nil when there is none but remarks.
func (r *dumpReader) worst() *Problem {
	var worst *Problem
	for _, p := range r.problems {
		if p.Verdict > Remark && (worst == nil || p.Verdict > worst.Verdict) {
			worst = p
		}
	}
	return worst
}

// read takes the whole output; only the first plugin counts, as in Kong.
func (r *dumpReader) read(out []byte) {
	var v any
	if err := json.Unmarshal(out, &v); err != nil {
		r.note(Refused, "the query command must print one JSON object and nothing else on its standard output", "failed decoding plugin info: %v", err)
		return
	}
	r.protocol = "MsgPack:1"
	entries := v
	if dump, ok := v.(map[string]any); ok {
		if p, given := dump["Protocol"]; given {
			r.protocol = luaText(p)
		}
		r.socket, _ = dump["SocketPath"].(string)
		if entries = dump["Plugins"]; entries == nil {
			entries = []any{}
		}
	} else if _, ok := v.([]any); !ok {
		r.note(Refused, `print an object with "Protocol" and "Plugins"`, "not a plugin info table")
		return
	}
	list, _ := entries.([]any)
	if len(list) == 0 {
		r.note(Refused, `"Plugins" must hold the plugin's description`, "attempt to index local 'info' (a nil value): the dump lists no plugin")
		return
	}
	entry, ok := list[0].(map[string]any)
	if !ok {
		r.note(Refused, `"Plugins" must hold objects`, "attempt to index local 'info' (a %s value)", jsonLuaType(list[0]))
		return
	}
	if len(list) > 1 {
		r.note(Remark, "run one plugin server per plugin", "the dump lists %d plugins, Kong 3.9 takes the first one only", len(list))
	}
	r.entry(entry, schemaBytes(out))
}

// entry takes the description of the plugin.
func (r *dumpReader) entry(e map[string]any, rawSchema json.RawMessage) {
	name, _ := e["Name"].(string)
	r.info.Name = name
	if name == "" {
		r.note(Refused, `give the plugin's name as "Name"`, "table index is nil: the dump's first plugin has no Name")
		name = "?"
	}
	switch r.protocol {
	case "ProtoBuf:1", "MsgPack:1":
	default:
		r.note(Fails, `"Protocol" must be "ProtoBuf:1"`, "unknown protocol implementation: %s", r.protocol)
	}
	priority, given := e["Priority"]
	number, ok := priority.(float64)
	switch {
	case !given:
		r.note(Refused, `give "Priority" as a whole number`, "%s plugin is enabled but not installed;\nno plugin found: the dump gives no Priority", name)
	case !ok || math.Trunc(number) != number || math.Abs(number) > 1<<53:
		r.note(Refused, `give "Priority" as a whole number`, "Plugin %q cannot be loaded because its PRIORITY field is not a valid integer number, got: %q.", name, luaText(priority))
	default:
		r.info.Priority = int(number)
	}
	if version, _ := e["Version"].(string); versionPattern.MatchString(version) {
		r.info.Version = version
	} else {
		r.note(Refused, `give "Version" as one to three numbers with points between, as 1.2.3`,
			"Plugin %q cannot be loaded because its VERSION field does not follow the \"x.y.z\" format, got: %q.", name, luaText(e["Version"]))
	}
	r.phases(name, e["Phases"])
	if _, ok := e["Schema"].(map[string]any); ok {
		r.info.Schema = rawSchema
	} else {
		r.note(Refused, `give the configuration's schema as "Schema": {"name": ..., "fields": [...]}`, "no configuration schema found for plugin: %s: the dump gives no Schema", name)
	}
}

func (r *dumpReader) phases(name string, v any) {
	list, ok := v.([]any)
	if !ok {
		r.note(Refused, `give "Phases" as a list, like ["access", "log"]`, "bad argument #1 to 'for iterator' (table expected, got %s): the dump gives no Phases", jsonLuaType(v))
		return
	}
	r.info.Phases = []string{}
	filters := false
	for _, item := range list {
		phase, _ := item.(string)
		if slices.Contains(knownPhases, phase) {
			r.info.Phases = append(r.info.Phases, phase)
			continue
		}
		filter := phase == "header_filter" || phase == "body_filter"
		filters = filters || filter
		if filter {
			r.note(Fails, "take it out; response is the phase for external plugins", "unknown phase %q: no connection to a plugin server can be used in it", phase)
		} else {
			r.note(Fails, "Kong calls external plugins in "+strings.Join(knownPhases, ", "), "unknown phase %q", luaText(item))
		}
	}
	if filters && slices.Contains(r.info.Phases, "response") {
		r.note(Refused, "take header_filter and body_filter out of \"Phases\"",
			"Plugin %q can't be loaded because it implements both `response` and `header_filter` or `body_filter` methods.", name)
	}
	if len(list) == 0 {
		r.note(Remark, "does it have handlers, with the right signatures?", "the dump lists no phase, so Kong never calls the plugin")
	}
}

// schemaBytes is the first plugin's Schema as it was printed.
func schemaBytes(out []byte) json.RawMessage {
	var dump, plugin map[string]json.RawMessage // maps, whose keys are taken as they are written
	var plugins []json.RawMessage
	if json.Unmarshal(out, &dump) == nil {
		out = dump["Plugins"]
	}
	if json.Unmarshal(out, &plugins) != nil || len(plugins) == 0 || json.Unmarshal(plugins[0], &plugin) != nil {
		return nil
	}
	return plugin["Schema"]
}

// luaText is a JSON value as Lua's tostring shows it.
func luaText(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case string:
		return v
	case float64, bool:
		return fmt.Sprint(v)
	}
	return "table"
}

func jsonLuaType(v any) string {
	switch v.(type) {
	case nil:
		return "nil"
	case string:
		return "string"
	case float64:
		return "number"
	case bool:
		return "boolean"
	}
	return "table"
}

// CheckDump says everything that Kong 3.9 would make of a plugin server whose query command prints out. server is the
// name in pluginserver_names, which is mostly the binary's; Kong dials <prefix>/<server>.socket.
func CheckDump(server string, out []byte) (Info, []*Problem) {
	r := &dumpReader{}
	r.read(out)
	name := r.info.Name
	if r.protocol == "MsgPack:1" && name != "" {
		r.note(Remark, `Kong 3 takes it; for kongdev give "Protocol": "ProtoBuf:1"`, "protocol %q is not in kongdev, only ProtoBuf:1", r.protocol)
	}
	switch {
	case name == "":
	case declarative.IsLuaPlugin(name):
		r.note(Fails, "give it another name", "plugin %q is part of Kong, which takes its own and never asks for this one", name)
	case name != server:
		r.note(Remark, fmt.Sprintf("rename the binary, or set KONG_PLUGINS=%s and KONG_PLUGINSERVER_NAMES=%s", name, server),
			"the plugin calls itself %q and its plugin server %q; where both are enabled by one name Kong logs \"plugin is enabled but not installed\"", name, server)
	}
	if base := filepath.Base(r.socket); r.socket != "" && base != server+".socket" {
		r.note(Remark, fmt.Sprintf("set KONG_PLUGINSERVER_%s_SOCKET to where it listens", envName(server)),
			"the dump tells the socket %s, which Kong ignores: it dials <prefix>/%s.socket", base, server)
	}
	if len(r.info.Schema) > 0 {
		r.schema(cmp.Or(name, "?"))
	}
	return r.info, r.problems
}

// schema takes what Kong's metaschema refuses, each mistake by itself.
func (r *dumpReader) schema(name string) {
	_, err := schema.FromDump(r.info.Schema)
	if err == nil {
		return
	}
	mistakes := schema.Errors(err)
	for _, m := range mistakes {
		remedy := m.Hint
		if remedy == "" {
			remedy = "correct it in the plugin's schema"
		}
		r.note(Refused, remedy, "on plugin '%s': schema violation (%s)", name, m.Error())
	}
	if len(mistakes) == 0 {
		r.note(Refused, "correct it in the plugin's schema", "on plugin '%s': schema violation (%v)", name, err)
	}
}

var notEnv = regexp.MustCompile(`[^A-Z0-9_]`) // read-only

// envName is a plugin server's name as environment variables carry it.
func envName(server string) string {
	return notEnv.ReplaceAllString(strings.ToUpper(server), "_")
}

// parseDump is a description that kongdev can run, or the worst that is wrong with it. The schema's inside is not looked
// at.
func parseDump(out []byte) (Info, error) {
	r := &dumpReader{}
	r.read(out)
	if p := r.worst(); p != nil && p.Verdict == Refused && r.info.Name == "" {
		return Info{}, p
	}
	if r.protocol == "MsgPack:1" {
		return Info{}, fmt.Errorf("plugin %q: protocol %q is not in kongdev, only ProtoBuf:1", r.info.Name, r.protocol)
	}
	if p := r.worst(); p != nil {
		return Info{}, fmt.Errorf("plugin %q: %w", r.info.Name, p)
	}
	return r.info, nil
}

// maxSaid bounds what is told of a query command's standard error.
const maxSaid = 300

// Check runs a plugin server's query command as Kong does and says everything that Kong would make of it.
func Check(ctx context.Context, s Server) (Info, []*Problem) {
	ctx, cancel := context.WithTimeout(ctx, QueryTimeout)
	defer cancel()
	out, said := runQuery(ctx, s)
	if ctx.Err() != nil {
		return Info{}, []*Problem{{Refused, fmt.Sprintf("the query command %q did not end within %s; Kong would wait for ever", s.QueryCmd, QueryTimeout),
			"it must print the description and end"}}
	}
	info, problems := CheckDump(s.Name, out)
	if len(problems) > 0 && said != "" && !json.Valid(out) {
		problems[0].Text += ": query command " + strconv.Quote(s.QueryCmd) + ": " + strings.ToValidUTF8(said[:min(len(said), maxSaid)], "")
	}
	return info, problems
}
