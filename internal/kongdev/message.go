package kongdev

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/lua"
)

// The small messages of Kong's pluginsocket.proto. They are written by hand
// because Kong's own codec checks no UTF-8, and a field without a value is not
// sent.

// textArg reads field 1 of a String or ByteString.
func textArg(msg []byte) (string, error) {
	var s string
	err := lua.EachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if num == 1 && typ == protowire.BytesType {
			s = string(b)
		}
		return nil
	})
	return s, err
}

// intArg reads field 1 of an Int or Bool.
func intArg(msg []byte) (int, error) {
	var i int
	err := lua.EachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, _ []byte) error {
		if num == 1 && typ == protowire.VarintType {
			i = int(int32(n))
		}
		return nil
	})
	return i, err
}

// pairArg reads a KV.
func pairArg(msg []byte) (key string, v lua.Value, err error) {
	err = lua.EachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) (err error) {
		switch {
		case num == 1 && typ == protowire.BytesType:
			key = string(b)
		case num == 2 && typ == protowire.BytesType:
			v, err = lua.DecodeValue(b)
		}
		return err
	})
	return key, v, err
}

// textAndInt reads a message of a string (1) and a number (2): Target and ConsumerSpec.
func textAndInt(msg []byte) (s string, i int, err error) {
	err = lua.EachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) error {
		switch {
		case num == 1 && typ == protowire.BytesType:
			s = string(b)
		case num == 2 && typ == protowire.VarintType:
			i = int(int32(n))
		}
		return nil
	})
	return s, i, err
}

// exitArgs are the arguments of kong.response.exit. headers is nil when none came.
type exitArgs struct {
	status  int
	body    []byte
	headers *lua.Table
}

func decodeExit(msg []byte) (a exitArgs, err error) {
	err = lua.EachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) (err error) {
		switch {
		case num == 1 && typ == protowire.VarintType:
			a.status = int(int32(n))
		case num == 2 && typ == protowire.BytesType:
			a.body = append([]byte(nil), b...)
		case num == 3 && typ == protowire.BytesType:
			a.headers, err = lua.DecodeStruct(b)
		}
		return err
	})
	return a, err
}

// decodeAuthenticate reads AuthenticateArgs as the tables Kong keeps: every
// text field is there, empty or not, and tags is a list.
func decodeAuthenticate(msg []byte) (consumer, credential lua.Value, err error) {
	err = lua.EachField(msg, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
		if typ != protowire.BytesType {
			return nil
		}
		switch num {
		case 1:
			c := lua.NewFields(map[string]lua.Value{"id": "", "created_at": 0.0, "username": "", "custom_id": "", "tags": lua.NewList()})
			consumer = c
			return lua.EachField(b, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) error {
				switch {
				case num == 2 && typ == protowire.VarintType:
					c.Fields["created_at"] = float64(int64(n))
				case num == 5 && typ == protowire.BytesType:
					tags := c.Fields["tags"].(*lua.Table)
					tags.List = append(tags.List, string(b))
				case typ == protowire.BytesType && (num == 1 || num == 3 || num == 4):
					c.Fields[[]string{1: "id", 3: "username", 4: "custom_id"}[num]] = string(b)
				}
				return nil
			})
		case 2:
			c := lua.NewFields(map[string]lua.Value{"id": "", "consumer_id": ""})
			credential = c
			return lua.EachField(b, func(num protowire.Number, typ protowire.Type, _ uint64, b []byte) error {
				if typ == protowire.BytesType && (num == 1 || num == 2) {
					c.Fields[[]string{1: "id", 2: "consumer_id"}[num]] = string(b)
				}
				return nil
			})
		}
		return nil
	})
	return consumer, credential, err
}

// encodeText is a String; anything but a string or nil cannot be encoded.
func encodeText(v lua.Value) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		return appendText(nil, 1, v), nil
	case float64:
		return appendText(nil, 1, lua.FormatNumber(v, 14)), nil
	}
	return nil, lua.Raise("bad argument #2 to 'encode' (string expected for field 'v', got %s)", lua.TypeOf(v))
}

func appendText(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return protowire.AppendString(protowire.AppendTag(dst, num, protowire.BytesType), s)
}

func appendInt(dst []byte, num protowire.Number, n int64) []byte {
	if n == 0 {
		return dst
	}
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), uint64(n))
}

func encodeInt(n int) []byte { return appendInt(nil, 1, int64(n)) }

func encodeNumber(f float64) []byte {
	if f == 0 {
		return nil
	}
	return protowire.AppendFixed64([]byte{0x09}, math.Float64bits(f))
}
