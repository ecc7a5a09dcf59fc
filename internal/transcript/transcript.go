// Package transcript holds recorded conversations between a real Kong Gateway 3.9.1 and a small plugin on go-pdk's own
// server. They are the referee: what our server writes and what the development gateway sends must agree with them,
// ids, ports, times and latencies aside.
//
// recorded/NN_name.jsonl has one frame a line, recorded/requests.txt the request and the response of 01 to 16,
// recorded/keyauth-lua-reference.txt what a bundled plugin answers to requests of its own.
package transcript

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"

	"kong-go-plugins/internal/frames"
)

//go:embed recorded
var recorded embed.FS

// Directions and kinds of frames.
const (
	ToPlugin = frames.ToPlugin
	ToKong   = frames.ToKong

	Connect   = frames.Connect
	Close     = frames.Close
	Call      = frames.Call
	Method    = frames.Method
	Args      = frames.Args
	Reply     = frames.Reply
	End       = frames.End
	RPCReturn = frames.RPCReturn
)

// A Frame is one frame, or the opening or closing of a connection, with a note on whose side closed it.
type Frame = frames.Frame

// Names lists the recordings in order, for instance "06_exit_418".
func Names() []string {
	entries, err := recorded.ReadDir("recorded")
	if err != nil {
		panic("the recordings are embedded: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".jsonl"); ok {
			names = append(names, name)
		}
	}
	return names
}

// Load returns the frames of a recording in the order in which they were seen.
func Load(name string) ([]Frame, error) {
	data, err := recorded.ReadFile(path.Join("recorded", name+".jsonl"))
	if err != nil {
		return nil, err
	}
	all, err := frames.Read(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// Requests is requests.txt: the request and the client's response of the recordings 01 to 16.
func Requests() string { return text("requests.txt") }

// KeyAuth is keyauth-lua-reference.txt: what Kong's bundled key-auth answers, request by request as curl's arguments and
// the client's response. The routes are /echo/plain (defaults), /echo/hide (hide_credentials, key_in_body, key_names
// apikey and x-key), /echo/anon (anonymous) and /echo/realm (realm my-realm, key_in_query and run_on_preflight off);
// bob's key is sekret; the upstream echoes what it received.
func KeyAuth() string { return text("keyauth-lua-reference.txt") }

func text(name string) string {
	data, err := recorded.ReadFile(path.Join("recorded", name))
	if err != nil {
		panic("the recordings are embedded: " + err.Error())
	}
	return string(data)
}
