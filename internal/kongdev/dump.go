package kongdev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// PluginServer says how to run one plugin server, as kong.conf's
// pluginserver_* settings do. A StartCmd of "" means that somebody else runs
// the process. Socket "" is <prefix>/<name>.socket.
type PluginServer struct {
	Name, Socket, QueryCmd, StartCmd string
}

// PluginInfo is what a query command told about its plugin.
type PluginInfo struct {
	Name, Version string
	Priority      int
	Phases        []string
	Schema        json.RawMessage // the dump's Schema object as printed
}

// QueryPlugins runs the query command of each server and returns what they
// told, by plugin name. Errors carry Kong's texts, then cause and remedy.
func QueryPlugins(ctx context.Context, servers []PluginServer) (map[string]PluginInfo, error) {
	infos := make(map[string]PluginInfo, len(servers))
	for _, s := range servers {
		info, err := QueryPlugin(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("failed loading external plugins: %w", err)
		}
		infos[info.Name] = info
	}
	return infos, nil
}

// QueryPlugin runs one server's query command through the shell, as Kong does:
// standard output only, whatever the exit status, one JSON value.
func QueryPlugin(ctx context.Context, s PluginServer) (PluginInfo, error) {
	if s.QueryCmd == "" {
		return PluginInfo{}, fmt.Errorf("no info query for %s: set its query command, for instance %q", s.Name, "/path/to/"+s.Name+" -dump")
	}
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", s.QueryCmd)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	runErr := cmd.Run()
	info, err := parseDump(out.Bytes())
	if err != nil {
		hint := strings.TrimSpace(errOut.String())
		if runErr != nil {
			hint = strings.TrimSpace(runErr.Error() + " " + hint)
		}
		if hint == "" {
			hint = "run it by hand: it must print one JSON object"
		}
		return PluginInfo{}, fmt.Errorf("%w: query command %q of %s: %s", err, s.QueryCmd, s.Name, hint)
	}
	return info, nil
}

// parseDump reads a query command's output by the rules of Kong 3.9: only the
// first plugin counts.
func parseDump(out []byte) (PluginInfo, error) {
	if !json.Valid(out) {
		var v any
		return PluginInfo{}, fmt.Errorf("failed decoding plugin info: %w", json.Unmarshal(out, &v))
	}
	type entry struct {
		Name     *string
		Version  *string
		Priority *float64
		Phases   []string
		Schema   json.RawMessage
	}
	var dump struct {
		Protocol *string
		Plugins  []entry
	}
	protocol := "MsgPack:1"
	switch bytes.TrimSpace(out)[0] {
	case '{':
		if err := json.Unmarshal(out, &dump); err != nil {
			return PluginInfo{}, fmt.Errorf("failed decoding plugin info: %w", err)
		}
		if dump.Protocol != nil {
			protocol = *dump.Protocol
		}
	case '[':
		if err := json.Unmarshal(out, &dump.Plugins); err != nil {
			return PluginInfo{}, fmt.Errorf("failed decoding plugin info: %w", err)
		}
	default:
		return PluginInfo{}, errors.New("not a plugin info table")
	}
	if len(dump.Plugins) == 0 {
		return PluginInfo{}, errors.New("the dump lists no plugin")
	}
	p := dump.Plugins[0]
	if p.Name == nil || *p.Name == "" {
		return PluginInfo{}, errors.New("the dump's first plugin has no Name")
	}
	fail := func(format string, args ...any) (PluginInfo, error) {
		return PluginInfo{}, fmt.Errorf("plugin %q: "+format, append([]any{*p.Name}, args...)...)
	}
	if protocol != "ProtoBuf:1" {
		return fail("protocol %q is not in kongdev, only ProtoBuf:1", protocol)
	}
	if p.Priority == nil {
		return fail("no plugin found: the dump gives no Priority")
	}
	if math.Trunc(*p.Priority) != *p.Priority || math.Abs(*p.Priority) > 1<<53 {
		return fail("priority %v is no whole number", *p.Priority)
	}
	if p.Version == nil || !versionPattern.MatchString(*p.Version) {
		return fail("version must be one to three numbers with points between, as 1.2.3")
	}
	for _, phase := range p.Phases {
		if !slices.Contains(knownPhases, phase) {
			return fail("unknown phase %q", phase)
		}
	}
	if len(p.Schema) == 0 || p.Schema[0] != '{' {
		return fail("the dump gives no Schema")
	}
	return PluginInfo{*p.Name, *p.Version, int(*p.Priority), p.Phases, p.Schema}, nil
}

var (
	versionPattern = regexp.MustCompile(`^\d+(\.\d+){0,2}$`)                                    // read-only
	knownPhases    = []string{"certificate", "rewrite", "access", "response", "preread", "log"} // read-only
)
