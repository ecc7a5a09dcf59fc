// Package transcript holds recorded conversations between a real Kong Gateway 3.9.1 and a small plugin on go-pdk's own
// server. They are the referee: what our server writes and what the development gateway sends must agree with them,
// ids, ports, times and latencies aside.
//
// recorded/NN_name.jsonl has one frame a line, recorded/requests.txt the request and the response of 01 to 16.
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
func Requests() string {
	data, err := recorded.ReadFile("recorded/requests.txt")
	if err != nil {
		panic("the recordings are embedded: " + err.Error())
	}
	return string(data)
}
