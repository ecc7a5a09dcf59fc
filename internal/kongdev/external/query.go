// Package external is what Kong knows of external plugins before a request needs one: where their servers' binaries are,
// what those say of their plugins and what Kong makes of it, and how their processes are run.
package external

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

// Server says how to run one plugin server, as kong.conf's
// pluginserver_* settings do. A StartCmd of "" means that somebody else runs
// the process. Socket "" is <prefix>/<name>.socket. GraphCmd is not Kong's: it
// draws a workflow for Graph, "" for a plugin that has none.
type Server struct {
	Name, Socket, QueryCmd, StartCmd, GraphCmd string
}

// Info is what a query command told about its plugin.
type Info struct {
	Name, Version string
	Server        string // the plugin server that told; its socket is named after it
	Priority      int
	Phases        []string
	Schema        json.RawMessage // the dump's Schema object as printed
}

// QueryAll runs the query command of each server and returns what they
// told, by plugin name. Errors carry Kong's texts, then cause and remedy.
func QueryAll(ctx context.Context, servers []Server) (map[string]Info, error) {
	infos := make(map[string]Info, len(servers))
	for _, s := range servers {
		info, err := Query(ctx, s)
		if err != nil {
			return nil, fmt.Errorf("failed loading external plugins: %w", err)
		}
		infos[info.Name] = info
	}
	return infos, nil
}

// Query runs one server's query command through the shell, as Kong does:
// standard output only, whatever the exit status, one JSON value.
func Query(ctx context.Context, s Server) (Info, error) {
	if s.QueryCmd == "" {
		return Info{}, fmt.Errorf("query_command undefined for pluginserver %s: set its query command, for instance %q", s.Name, "/path/to/"+s.Name+" -dump")
	}
	out, hint := runQuery(ctx, s)
	info, err := parseDump(out)
	if err != nil {
		if hint == "" {
			hint = "run it by hand: it must print one JSON object"
		}
		return Info{}, fmt.Errorf("%w: query command %q of %s: %s", err, s.QueryCmd, s.Name, hint)
	}
	info.Server = s.Name
	return info, nil
}

// outputWait is how long the output of a command that has ended may stay open, by a child that holds it. What was read
// by then counts: a machine that pauses must not cut it.
const outputWait = 10 * time.Second

// runQuery returns what the query command printed, and what else it had to say: how it ended, its standard error.
func runQuery(ctx context.Context, s Server) (out []byte, said string) {
	ctx, cancel := context.WithTimeout(ctx, QueryTimeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "sh", "-c", s.QueryCmd)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.WaitDelay = outputWait
	err := cmd.Run()
	said = strings.TrimSpace(stderr.String())
	if err != nil {
		said = strings.TrimSpace(err.Error() + " " + said)
	}
	return stdout.Bytes(), said
}

var (
	versionPattern = regexp.MustCompile(`^\d+(\.\d+){0,2}$`)                                    // read-only
	knownPhases    = []string{"certificate", "rewrite", "access", "response", "preread", "log"} // read-only
)
