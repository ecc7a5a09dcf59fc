package frames

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Commands of Kong, as numbered in RpcCall.
const (
	StartInstance = 33
	CloseInstance = 35
	HandleEvent   = 36
)

// A Command is what an RpcCall asks for.
type Command struct {
	Sequence int64
	Kind     int    // StartInstance, CloseInstance, HandleEvent; 0 for what Kong never sends
	Plugin   string // of StartInstance
	Config   []byte // of StartInstance: JSON
	Instance int32  // of the others
	Event    string // of HandleEvent: the phase
}

// ParseCall reads an RpcCall's payload.
func ParseCall(payload []byte) (c Command, err error) {
	err = eachField(payload, func(n protowire.Number, f field) {
		switch n {
		case 1:
			c.Sequence = int64(f.number)
		case StartInstance, CloseInstance, HandleEvent:
			c.Kind = int(n)
			innerErr := eachField(f.bytes, func(n protowire.Number, f field) {
				switch {
				case c.Kind == StartInstance && n == 1:
					c.Plugin = string(f.bytes)
				case c.Kind == StartInstance && n == 2:
					c.Config = f.bytes
				case n == 1:
					c.Instance = int32(f.number)
				case n == 2:
					c.Event = string(f.bytes)
				}
			})
			if innerErr != nil {
				c.Kind = 0
			}
		}
	})
	return c, err
}

// AppendCall writes a command as an RpcCall's payload.
func AppendCall(dst []byte, c Command) []byte {
	var inner []byte
	if c.Kind == StartInstance {
		inner = appendBytes(appendBytes(nil, 1, []byte(c.Plugin)), 2, c.Config)
	} else {
		inner = protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(int64(c.Instance)))
		if c.Kind == HandleEvent {
			inner = appendBytes(inner, 2, []byte(c.Event))
		}
	}
	dst = protowire.AppendVarint(protowire.AppendTag(dst, 1, protowire.VarintType), uint64(c.Sequence))
	return appendBytes(dst, protowire.Number(c.Kind), inner)
}

// A Return is what a plugin server answers to a command.
type Return struct {
	Sequence int64
	Started  bool  // an instance's status is there
	Instance int32 // of that status
}

// ParseReturn reads an RpcReturn's payload.
func ParseReturn(payload []byte) (r Return, err error) {
	err = eachField(payload, func(n protowire.Number, f field) {
		switch n {
		case 1:
			r.Sequence = int64(f.number)
		case 33:
			r.Started = eachField(f.bytes, func(n protowire.Number, f field) {
				if n == 2 {
					r.Instance = int32(f.number)
				}
			}) == nil
		}
	})
	return r, err
}

// bodyMethod is the one call whose answer may name a file.
const bodyMethod = "kong.request.get_raw_body"

// BodyPath is the file that a call's answer names instead of the request's body, "" for none.
func BodyPath(method string, reply []byte) string {
	path := ""
	if method == bodyMethod {
		_ = eachField(reply, func(n protowire.Number, f field) {
			if n == 2 && f.isBytes {
				path = string(f.bytes)
			}
		})
	}
	return path
}

// WithBodyPath is an answer that names another file.
func WithBodyPath(path string) []byte { return appendBytes(nil, 2, []byte(path)) }

func appendBytes(dst []byte, n protowire.Number, b []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, n, protowire.BytesType), b)
}

// field is one field of a message: a number or bytes.
type field struct {
	number  uint64
	bytes   []byte
	isBytes bool
}

func eachField(data []byte, do func(protowire.Number, field)) error {
	for len(data) > 0 {
		n, typ, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var f field
		switch typ {
		case protowire.VarintType:
			f.number, size = protowire.ConsumeVarint(data)
		case protowire.Fixed64Type:
			f.number, size = protowire.ConsumeFixed64(data)
		case protowire.Fixed32Type:
			var x uint32
			x, size = protowire.ConsumeFixed32(data)
			f.number = uint64(x)
		case protowire.BytesType:
			f.bytes, size = protowire.ConsumeBytes(data)
			f.isBytes = true
		default:
			return fmt.Errorf("wire type %d", typ)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		do(n, f)
	}
	return nil
}
