// Package transcript holds recorded conversations between a real Kong Gateway 3.9.1 and a small plugin on go-pdk's own
// server. They are the referee: what our server writes and what the development gateway sends must agree with them,
// ids, ports, times and latencies aside.
//
// recorded/NN_name.jsonl has one frame a line, recorded/requests.txt the request and the response of 01 to 16.
package transcript

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strings"
)

//go:embed recorded
var recorded embed.FS

// Directions and kinds of frames.
const (
	ToPlugin = "kong->plugin"
	ToKong   = "plugin->kong"

	Connect   = "connect"
	Close     = "close"
	Call      = "RpcCall"
	Method    = "step_method"
	Args      = "step_args"
	Reply     = "step_reply"
	End       = "end_of_event"
	RPCReturn = "RpcReturn"
)

// A Frame is one frame, or the opening or closing of a connection.
type Frame struct {
	Conn    int // the connection's number in the recording
	N       int // order on that connection
	Dir     string
	Kind    string
	Method  string          // of a PDK call and its reply
	Type    string          // protobuf message
	Decoded json.RawMessage // protobuf JSON
	Wire    []byte          // with the 4-byte length
	Note    string          // of a closing: whose side it was
}

// Payload is the frame without its length.
func (f Frame) Payload() []byte {
	if len(f.Wire) < 4 {
		return nil
	}
	return f.Wire[4:]
}

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
	var frames []Frame
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var l struct {
			Conn                    int
			N                       int
			Dir, Kind, Method, Type string
			Note                    string
			Decoded                 json.RawMessage
			Hex                     string
			HexTruncated            bool `json:"hex_truncated"`
		}
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, n, err)
		}
		wire, err := hex.DecodeString(l.Hex)
		if err != nil || l.HexTruncated {
			return nil, fmt.Errorf("%s:%d: hex is not whole: %v", name, n, err)
		}
		frames = append(frames, Frame{Conn: l.Conn, N: l.N, Dir: l.Dir, Kind: l.Kind, Method: l.Method, Type: l.Type, Decoded: l.Decoded, Wire: wire, Note: l.Note})
	}
	return frames, lines.Err()
}

// Requests is requests.txt: the request and the client's response of the recordings 01 to 16.
func Requests() string {
	data, err := recorded.ReadFile("recorded/requests.txt")
	if err != nil {
		panic("the recordings are embedded: " + err.Error())
	}
	return string(data)
}
