package main

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev"
)

// framePrinter writes each frame between gateway and plugins as a line: the
// gateway's side on the left, calls by name with their arguments. Bodies and
// what looks like a secret are left out.
type framePrinter struct {
	mu    sync.Mutex
	w     io.Writer
	calls map[int64]string // method of the call in progress, by connection
	quiet map[int64]bool   // the answer of that call is not shown
}

func newFramePrinter(w io.Writer) *framePrinter {
	return &framePrinter{w: w, calls: map[int64]string{}, quiet: map[int64]bool{}}
}

// maxShown bounds the text of one frame.
const maxShown = 160

// print is called by many goroutines at once.
func (p *framePrinter) print(f kongdev.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	arrow, text := "<-", ""
	if f.ToPlugin {
		arrow = "->"
	}
	switch f.Kind {
	case "step_method":
		p.calls[f.Conn] = f.Method
		return // shown with its arguments
	case "step_args":
		args := size(f.Data)
		if !hidesArguments(f.Method) {
			args = p.fields(f.Data)
		}
		p.quiet[f.Conn] = hidesAnswer(f.Method, args)
		text = fmt.Sprintf("%s(%s)", f.Method, args)
	case "step_reply":
		text = "= " + size(f.Data)
		if !p.quiet[f.Conn] {
			text = "= " + p.fields(f.Data)
		}
	case "RpcCall":
		text = rpcCall(f.Data)
	case "connect", "close":
		text, arrow = f.Kind, "--"
		delete(p.calls, f.Conn)
		delete(p.quiet, f.Conn)
	default:
		text = strings.ReplaceAll(f.Kind, "_", " ")
	}
	fmt.Fprintf(p.w, "%s w%d c%-3d %s %s\n", f.Time.Format("15:04:05.000000"), f.Worker, f.Conn, arrow, text)
}

// hidesArguments reports methods whose arguments are bodies or credentials.
func hidesArguments(method string) bool {
	switch method {
	case "kong.response.exit", "kong.service.request.set_raw_body", "kong.client.authenticate":
		return true
	}
	return false
}

// hidesAnswer reports calls whose answer is a body, a credential, or a header
// that holds one.
func hidesAnswer(method, args string) bool {
	switch method {
	case "kong.request.get_raw_body", "kong.service.response.get_raw_body", "kong.client.get_credential",
		"kong.request.get_headers", "kong.request.get_query", "kong.request.get_raw_query", "kong.request.get_path_with_query",
		"kong.log.serialize", "kong.ctx.shared.get":
		return true
	}
	return isSecretName(args)
}

// isSecretName reports text that names something secret.
func isSecretName(text string) bool {
	text = strings.ToLower(text)
	for _, word := range []string{"authorization", "cookie", "key", "token", "secret", "password", "application"} {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// rpcCall shows a command. Of a configuration only the names of its fields are
// told: their values may be secrets.
func rpcCall(data []byte) string {
	text := "call"
	_ = eachWireField(data, func(n protowire.Number, v wireValue) {
		switch n {
		case 33:
			name, config := "", []byte(nil)
			_ = eachWireField(v.bytes, func(n protowire.Number, v wireValue) {
				if n == 1 {
					name = string(v.bytes)
				} else if n == 2 {
					config = v.bytes
				}
			})
			text = fmt.Sprintf("start instance of %s with %s: %s", shown([]byte(name)), size(config), fieldNames(config))
		case 35, 36:
			id, event := uint64(0), ""
			_ = eachWireField(v.bytes, func(n protowire.Number, v wireValue) {
				if n == 1 {
					id = v.number
				} else if n == 2 {
					event = string(v.bytes)
				}
			})
			text = fmt.Sprintf("close instance %d", int32(id))
			if n == 36 {
				text = fmt.Sprintf("%s of instance %d", clip(event), int32(id))
			}
		}
	})
	return text
}

func fieldNames(config []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) != nil {
		return "not JSON"
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	sort.Strings(names)
	return clip(strings.Join(names, " "))
}

func size(data []byte) string { return fmt.Sprintf("(%d bytes)", len(data)) }

// fields shows a message without knowing its type, as number or text per
// field, nested ones in braces.
func (p *framePrinter) fields(data []byte) string {
	return clip(strings.Join(wireTexts(data, 0), ", "))
}

func wireTexts(data []byte, depth int) []string {
	var out []string
	name := "" // of a map's entry or of a pair
	err := eachWireField(data, func(n protowire.Number, v wireValue) {
		switch {
		case !v.isBytes:
			out = append(out, strconv.FormatUint(v.number, 10))
		case n == 2 && isSecretName(name):
			out = append(out, size(v.bytes))
		case isText(v.bytes):
			if n == 1 {
				name = string(v.bytes)
			}
			out = append(out, shown(v.bytes))
		default:
			var inner []string
			if depth < 8 {
				inner = wireTexts(v.bytes, depth+1)
			}
			if len(inner) == 0 {
				out = append(out, size(v.bytes))
				return
			}
			out = append(out, "{"+strings.Join(inner, ", ")+"}")
		}
	})
	if err != nil {
		return nil
	}
	return out
}

// isText reports bytes that are text rather than a message.
func isText(b []byte) bool {
	return utf8.Valid(b) && strings.IndexFunc(string(b), func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func shown(b []byte) string { return strconv.Quote(clip(string(b))) }

func clip(s string) string {
	if len(s) <= maxShown {
		return s
	}
	return strings.ToValidUTF8(s[:maxShown], "") + "..."
}

// wireValue is one field of a message: a number or bytes.
type wireValue struct {
	number  uint64
	bytes   []byte
	isBytes bool
}

func eachWireField(data []byte, do func(protowire.Number, wireValue)) error {
	for len(data) > 0 {
		n, typ, size := protowire.ConsumeTag(data)
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		var v wireValue
		switch typ {
		case protowire.VarintType:
			v.number, size = protowire.ConsumeVarint(data)
		case protowire.Fixed64Type:
			v.number, size = protowire.ConsumeFixed64(data)
		case protowire.Fixed32Type:
			var x uint32
			x, size = protowire.ConsumeFixed32(data)
			v.number = uint64(x)
		case protowire.BytesType:
			v.bytes, size = protowire.ConsumeBytes(data)
			v.isBytes = true
		default:
			return fmt.Errorf("wire type %d", typ)
		}
		if size < 0 {
			return protowire.ParseError(size)
		}
		data = data[size:]
		do(n, v)
	}
	return nil
}
