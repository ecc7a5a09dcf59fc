// Package frames holds frames of Kong's plugin protocol outside of a connection: recordings of them as JSON lines, the
// messages they carry, and their text for people, without secrets.
package frames

import (
	"encoding/binary"
	"encoding/json"
	"time"
)

// Directions. The opening and the end of a connection have none.
const (
	ToPlugin = "kong->plugin"
	ToKong   = "plugin->kong"
	Neither  = "-"
)

// Kinds. A recording has these and no others.
const (
	Connect   = "connect"
	Close     = "close"
	Call      = "RpcCall"
	Method    = "step_method" // a PDK call's name
	Args      = "step_args"
	Reply     = "step_reply"
	End       = "end_of_event" // the empty frame behind the last call
	RPCReturn = "RpcReturn"
)

// A Frame is one frame, or the opening or closing of a connection.
type Frame struct {
	At      time.Duration   // since the recording began
	Conn    int             // the connection's number in the recording
	N       int             // order on that connection
	Dir     string          // ToPlugin, ToKong or Neither
	Kind    string          // one of the kinds
	Method  string          // of a PDK call and its reply
	Type    string          // full name of the protobuf message, "" where there is none
	Decoded json.RawMessage // the message as protobuf JSON, nil where it cannot be had
	Note    string          // what a reader may want to know, "" for nothing
	Wire    []byte          // the frame with its 4-byte length

	// BodyFile is what is in the file that the frame names: Kong passes bodies over 8 KB so, and removes the file with the
	// request. nil where no file is named or its content was not recorded.
	BodyFile []byte
}

// Payload is the frame without its length.
func (f Frame) Payload() []byte {
	if len(f.Wire) < 4 {
		return nil
	}
	return f.Wire[4:]
}

// AppendWire appends payload as a frame: a little-endian length, then the bytes.
func AppendWire(dst, payload []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(payload))), payload...)
}
