package pluginserver

import (
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Kong's argument rules, on the encoded arguments. Each function answers true only when Kong is certain to accept:
// in doubt the call is sent and its answer awaited, so that Kong decides as it does for any plugin.
// Source: the checks in kong/pdk of Kong 3.9.1.

func anyArgs([]byte) bool { return true }

// fields calls f for each field of an encoded message until f answers false; it reports whether all were good.
// A varint's value is in n, a length-delimited field's in b.
func fields(msg []byte, f func(num protowire.Number, n uint64, b []byte) bool) bool {
	for len(msg) > 0 {
		num, typ, size := protowire.ConsumeTag(msg)
		if size < 0 {
			return false
		}
		msg = msg[size:]
		var n uint64
		var b []byte
		switch typ {
		case protowire.VarintType:
			n, size = protowire.ConsumeVarint(msg)
		case protowire.BytesType:
			b, size = protowire.ConsumeBytes(msg)
		default:
			size = protowire.ConsumeFieldValue(num, typ, msg)
		}
		if size < 0 || !f(num, n, b) {
			return false
		}
		msg = msg[size:]
	}
	return true
}

// textArg returns the string of a String message, the only field of such arguments.
func textArg(args []byte) (text []byte, ok bool) {
	ok = fields(args, func(num protowire.Number, _ uint64, b []byte) bool {
		text = b
		return num == 1
	})
	return text, ok
}

// kv splits a KV message: key and encoded Value.
func kv(args []byte) (key, value []byte, ok bool) {
	ok = fields(args, func(num protowire.Number, _ uint64, b []byte) bool {
		switch num {
		case 1:
			key = b
		case 2:
			value = b
		}
		return true
	})
	return key, value, ok
}

// Field numbers of google.protobuf.Value.
const (
	valueString = 3
	valueStruct = 5
	valueList   = 6
)

// isString reports whether an encoded Value is a string.
func isString(value []byte) bool {
	found := false
	return fields(value, func(num protowire.Number, _ uint64, _ []byte) bool {
		found = num == valueString
		return found
	}) && found
}

// hasKey: the key of a shared or context value must not be empty (Lua cannot index a table by nil).
func hasKey(args []byte) bool {
	key, _, ok := kv(args)
	return ok && len(key) > 0
}

// isLine: a list of values for a log line. Kong loses a false, and raises when nothing is left to join.
func isLine(args []byte) bool {
	first := false
	return fields(args, func(_ protowire.Number, _ uint64, value []byte) bool {
		first = first || len(value) > 0 && fields(value, func(num protowire.Number, n uint64, _ []byte) bool { return num != valueBool || n != 0 })
		return first
	}) && first
}

// namesConsumer: an id that is a UUID, or any name when it may be a username.
func namesConsumer(args []byte) bool {
	var id []byte
	byUsername := false
	return fields(args, func(num protowire.Number, n uint64, b []byte) bool {
		switch num {
		case 1:
			id = b
		case 2:
			byUsername = n != 0
		}
		return true
	}) && (byUsername && len(id) > 0 || isUUID(id))
}

func isUUID(s []byte) bool {
	for i, c := range s {
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return false
			}
		}
	}
	return len(s) == 36
}

// isHeader: a header's name, and a value that is a string. nginx takes a length only when it is a number.
func isHeader(args []byte) bool {
	name, value, ok := kv(args)
	return ok && isToken(name) && isString(value) && !isLength(name)
}

// isLength reports whether name is Content-Length, for which nginx takes "_" for "-" in a response.
func isLength(name []byte) bool {
	return len(name) == len("content-length") && strings.EqualFold(strings.ReplaceAll(string(name), "_", "-"), "content-length")
}

func isHeaderName(args []byte) bool {
	name, ok := textArg(args)
	return ok && isToken(name)
}

// areHeaders: a Struct of names to lists of strings. A list may be empty: that clears the header.
func areHeaders(args []byte) bool {
	return fields(args, func(num protowire.Number, _ uint64, entry []byte) bool {
		name, value, ok := kv(entry)
		return num == 1 && ok && isToken(name) && !isLength(name) && fields(value, func(num protowire.Number, _ uint64, list []byte) bool {
			if num != valueList {
				return num == valueString
			}
			return fields(list, func(_ protowire.Number, _ uint64, v []byte) bool { return isString(v) })
		})
	})
}

// isToken reports whether name is an HTTP field name (RFC 9110, token) of a sane length.
func isToken(name []byte) bool {
	if len(name) == 0 || len(name) > 256 {
		return false
	}
	for _, c := range name {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		default:
			switch c {
			case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
			default:
				return false
			}
		}
	}
	return true
}

// isStatus: 100 to 599.
func isStatus(args []byte) bool {
	status := uint64(0)
	return fields(args, func(_ protowire.Number, n uint64, _ []byte) bool {
		status = n
		return true
	}) && 100 <= status && status <= 599
}

// isTarget: a host, and a port from 0 to 65535.
func isTarget(args []byte) bool {
	var host []byte
	var port uint64
	return fields(args, func(num protowire.Number, n uint64, b []byte) bool {
		switch num {
		case 1:
			host = b
		case 2:
			port = n
		}
		return true
	}) && len(host) > 0 && port <= 65535
}

func isScheme(args []byte) bool {
	s, ok := textArg(args)
	return ok && (string(s) == "http" || string(s) == "https")
}

func isPath(args []byte) bool {
	s, ok := textArg(args)
	return ok && len(s) > 0 && s[0] == '/'
}

// isMethod: the methods that every nginx knows; rarer ones wait for Kong's answer.
func isMethod(args []byte) bool {
	s, ok := textArg(args)
	if !ok {
		return false
	}
	switch string(s) {
	case "GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH":
		return true
	}
	return false
}
