package pluginserver

import (
	"encoding/binary"

	"google.golang.org/protobuf/encoding/protowire"
)

// Sizes, in bytes. A frame is a 4-byte little-endian length and that many bytes.
const (
	frameHeader  = 4
	maxCallFrame = 256 << 20 // a call from Kong: a configuration at most; more is not Kong speaking
	maxReply     = 1 << 30   // a reply from Kong: a body at most
	readBuffer   = 16 << 10
	keepBuffer   = 64 << 10 // buffers that grew larger are not kept between events
)

// Bounds of write-behind: then the flight leaves and its replies are read.
const (
	maxUnanswered = 64
	maxUnsent     = 64 << 10
)

func appendHeader(b []byte, n int) []byte { return binary.LittleEndian.AppendUint32(b, uint32(n)) }

func appendFrame(b []byte, payload string) []byte {
	return append(appendHeader(b, len(payload)), payload...)
}

func appendFrameBytes(b, payload []byte) []byte {
	return append(appendHeader(b, len(payload)), payload...)
}

// appendEnd appends the end of an event: an empty frame, then RpcReturn{sequence}.
func appendEnd(b []byte, sequence int64) []byte {
	b = appendHeader(b, 0)
	return appendReturn(b, sequence, nil)
}

// appendReturn appends the frame of an RpcReturn: its sequence (field 1) and the encoded rest.
func appendReturn(b []byte, sequence int64, rest []byte) []byte {
	n := len(rest)
	if sequence != 0 {
		n += 1 + protowire.SizeVarint(uint64(sequence))
	}
	b = appendHeader(b, n)
	if sequence != 0 {
		b = append(b, 0x08)
		b = protowire.AppendVarint(b, uint64(sequence))
	}
	return append(b, rest...)
}

// lastCall finds the last two whole frames in b: the method and its arguments. Frames before them were left by calls
// whose arguments could not be encoded; they must never reach Kong. ok is false when there are fewer than two.
func lastCall(b []byte) (method, args []byte, ok bool) {
	n := 0
	for len(b) >= frameHeader {
		size := int(binary.LittleEndian.Uint32(b))
		if size > len(b)-frameHeader {
			return nil, nil, false
		}
		method, args = args, b[frameHeader:frameHeader+size]
		b = b[frameHeader+size:]
		n++
	}
	return method, args, n >= 2 && len(b) == 0
}
