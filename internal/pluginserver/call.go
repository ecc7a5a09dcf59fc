package pluginserver

import (
	"bytes"
	"fmt"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Field numbers of RpcCall and RpcReturn.
const (
	fieldSequence       = 1
	fieldPluginNames    = 31
	fieldPluginInfo     = 32
	fieldStartInstance  = 33
	fieldInstanceStatus = 34
	fieldCloseInstance  = 35
	fieldHandleEvent    = 36

	returnPluginNames    = 31
	returnPluginInfo     = 32
	returnInstanceStatus = 33
)

// A call is an RpcCall from Kong. Byte slices are the stream's own and hold until its next read.
type call struct {
	sequence int64
	kind     protowire.Number // one of the field numbers above
	instance int32            // of handle, status and close
	event    []byte           // of handle: the phase's name
	config   []byte           // of start: JSON
}

// readCall reads the next call, after the replies that Kong still owes for the event before.
func (s *stream) readCall() (c call, err error) {
	for len(s.awaited) > 0 {
		if err := s.settle(nil); err != nil {
			return c, err
		}
	}
	n, err := s.readHeader(maxCallFrame)
	if err != nil {
		return c, err
	}
	s.between = false // before the payload: the connection is not clean in the middle of a frame
	msg, err := s.readPayload(n)
	if err != nil {
		return c, err
	}
	return parseCall(msg)
}

// parseCall decodes an RpcCall. Unknown fields are passed over; a message without a call is an error.
func parseCall(msg []byte) (c call, err error) {
	var body []byte
	ok := fields(msg, func(num protowire.Number, n uint64, b []byte) bool {
		switch {
		case num == fieldSequence:
			c.sequence = int64(n)
		case fieldPluginNames <= num && num <= fieldHandleEvent:
			c.kind, body = num, b
		}
		return true
	})
	if !ok || c.kind == 0 {
		return c, fmt.Errorf("a frame of %d bytes is not a call of Kong's protocol ProtoBuf:1", len(msg))
	}
	switch c.kind {
	case fieldHandleEvent, fieldCloseInstance, fieldInstanceStatus:
		ok = fields(body, func(num protowire.Number, n uint64, b []byte) bool {
			switch num {
			case 1:
				c.instance = int32(n)
			case 2:
				c.event = b
			}
			return true
		})
	case fieldStartInstance:
		ok = fields(body, func(num protowire.Number, _ uint64, b []byte) bool {
			if num == 2 {
				c.config = b
			}
			return true
		})
		c.config = bytes.Clone(c.config) // it lives on with the instance
	}
	if !ok {
		return c, fmt.Errorf("call %d of %d bytes cannot be decoded", c.kind, len(msg))
	}
	return c, nil
}

// statusReturn encodes the answer to start, status and close.
func statusReturn(sequence int64, name string, id int32, startedAt int64) ([]byte, error) {
	return marshalReturn(sequence, returnInstanceStatus, &kong_plugin_protocol.InstanceStatus{
		Name: name, InstanceId: id, StartedAt: startedAt,
	})
}

func marshalReturn(sequence int64, num protowire.Number, m proto.Message) ([]byte, error) {
	body, err := proto.Marshal(m)
	if err != nil {
		return nil, err
	}
	return appendReturn(nil, sequence, appendBytesField(nil, num, body)), nil
}
