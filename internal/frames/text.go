package frames

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/structpb"
)

// maxText bounds the text of one frame.
const maxText = 160

// A style says how messages are shown.
type style struct{ whole bool } // with secrets, and of any length

// PlainArgs shows a call's arguments as ArgsText does, but whole and with their secrets. It is for tests.
func PlainArgs(method string, args []byte) string {
	return style{whole: true}.message(methods[method].Args, args)
}

// PlainReply is PlainArgs for the answer.
func PlainReply(method string, reply []byte) string {
	return style{whole: true}.message(methods[method].Reply, reply)
}

// ArgsText shows a call's arguments on one line of bounded length: `"X-A", "b"`. Bodies, credentials and values whose
// name sounds like a secret are given by their size. It may be used on anything that a plugin sends.
func ArgsText(method string, args []byte) string {
	switch method {
	case "kong.response.exit", "kong.service.request.set_raw_body", "kong.client.authenticate", "kong.service.request.set_raw_query":
		return size(args)
	}
	return style{}.message(methods[method].Args, args)
}

// ReplyText shows a call's answer as ArgsText does. The arguments decide what may be shown.
func ReplyText(method string, args, reply []byte) string {
	switch method {
	case "kong.request.get_raw_body", "kong.service.response.get_raw_body", "kong.client.get_credential",
		"kong.request.get_headers", "kong.request.get_query", "kong.request.get_raw_query", "kong.request.get_path_with_query",
		"kong.log.serialize", "kong.ctx.shared.get":
		return size(reply)
	case "kong.nginx.get_var":
		for _, name := range []string{"request", "request_uri", "args", "query_string", "request_body"} {
			if (style{}).message(methods[method].Args, args) == strconv.Quote(name) {
				return size(reply)
			}
		}
	}
	if isSecretName(style{}.message(methods[method].Args, args)) {
		return size(reply)
	}
	return style{}.message(methods[method].Reply, reply)
}

// CallText shows a command to a plugin server. Of a configuration only the names of its fields are told: their values
// may be secrets.
func CallText(payload []byte) string {
	c, err := ParseCall(payload)
	switch {
	case err != nil || c.Kind == 0:
		return "call " + size(payload)
	case c.Kind == StartInstance:
		return fmt.Sprintf("start instance of %s with %s: %s", quote(c.Plugin), size(c.Config), fieldNames(c.Config))
	case c.Kind == CloseInstance:
		return fmt.Sprintf("close instance %d", c.Instance)
	}
	return fmt.Sprintf("%s of instance %d", clip(printable(c.Event)), c.Instance)
}

// TargetText is a request's path and query with the values of arguments left out whose name sounds like a secret.
func TargetText(target string) string {
	path, query, ok := strings.Cut(target, "?")
	if !ok {
		return clip(printable(path))
	}
	args := strings.Split(query, "&")
	for i, arg := range args {
		name, value, hasValue := strings.Cut(arg, "=")
		plain, err := url.QueryUnescape(name)
		if hasValue && (err != nil || isSecretName(plain)) {
			args[i] = name + "=" + size([]byte(value))
		}
	}
	return clip(printable(path + "?" + strings.Join(args, "&")))
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

func fieldNames(config []byte) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(config, &fields) != nil {
		return "not JSON"
	}
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, printable(name))
	}
	slices.Sort(names)
	return clip(strings.Join(names, " "))
}

// message shows a message by its type, or as numbers and texts where it is not of that type.
func (s style) message(t protoreflect.MessageType, payload []byte) string {
	if t != nil {
		m := t.New()
		if proto.Unmarshal(payload, m.Interface()) == nil {
			return s.clip(strings.Join(s.fields(m), ", "))
		}
	}
	texts, ok := s.wire(payload, 0)
	if !ok {
		return size(payload)
	}
	return s.clip(strings.Join(texts, ", "))
}

// fields shows a message's fields in their order: the one of a plain value alone, those of several by name from the
// third on.
func (s style) fields(m protoreflect.Message) (out []string) {
	switch v := m.Interface().(type) {
	case *structpb.Value:
		return []string{s.value(v)}
	case *structpb.Struct:
		return []string{s.value(structpb.NewStructValue(v))}
	case *structpb.ListValue:
		for _, item := range v.Values {
			out = append(out, s.value(item))
		}
		return out
	}
	fields := m.Descriptor().Fields()
	name := "" // of a pair
	for i := range fields.Len() {
		f := fields.Get(i)
		if fields.Len() > 2 && !m.Has(f) {
			continue
		}
		text := s.field(f, m.Get(f))
		if f.Name() == "k" {
			name = m.Get(f).String()
		} else if s.secret(name) {
			text = size([]byte(text))
		}
		if fields.Len() > 2 {
			text = string(f.Name()) + ": " + text
		}
		out = append(out, text)
	}
	return out
}

func (s style) field(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.IsMap():
		return strconv.Itoa(v.Map().Len()) + " entries"
	case f.IsList():
		var items []string
		for i := range v.List().Len() {
			items = append(items, s.scalar(f, v.List().Get(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return s.scalar(f, v)
}

func (s style) scalar(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		switch v.Message().Interface().(type) {
		case *structpb.Value, *structpb.Struct:
			return strings.Join(s.fields(v.Message()), "")
		}
		return "{" + strings.Join(s.fields(v.Message()), ", ") + "}"
	case protoreflect.StringKind:
		return s.quote(v.String())
	case protoreflect.BytesKind:
		if isText(v.Bytes()) {
			return s.quote(string(v.Bytes()))
		}
		return size(v.Bytes())
	}
	if f.Kind() == protoreflect.DoubleKind {
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return v.String()
}

// value shows a value as JSON with its keys in order.
func (s style) value(v *structpb.Value) string {
	switch v := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return s.quote(v.StringValue)
	case *structpb.Value_NumberValue:
		return strconv.FormatFloat(v.NumberValue, 'f', -1, 64)
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *structpb.Value_ListValue:
		items := []string{}
		for _, item := range v.ListValue.GetValues() {
			items = append(items, s.value(item))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case *structpb.Value_StructValue:
		fields := v.StructValue.GetFields()
		names := make([]string, 0, len(fields))
		for name := range fields {
			names = append(names, name)
		}
		slices.Sort(names)
		for i, name := range names {
			text := s.value(fields[name])
			if s.secret(name) {
				text = size([]byte(text))
			}
			names[i] = s.quote(name) + ": " + text
		}
		return "{" + strings.Join(names, ", ") + "}"
	}
	return "nil"
}

// wire shows a message without knowing its type, as number or text per field, nested ones in braces; false when it
// is none.
func (s style) wire(data []byte, depth int) (out []string, ok bool) {
	name := "" // of a map's entry or of a pair
	err := eachField(data, func(n protowire.Number, f field) {
		switch {
		case !f.isBytes:
			out = append(out, strconv.FormatUint(f.number, 10))
		case n == 2 && s.secret(name):
			out = append(out, size(f.bytes))
		case isText(f.bytes):
			if n == 1 {
				name = string(f.bytes)
			}
			out = append(out, s.quote(string(f.bytes)))
		default:
			var inner []string
			if depth < 8 {
				inner, _ = s.wire(f.bytes, depth+1)
			}
			if len(inner) == 0 {
				out = append(out, size(f.bytes))
				return
			}
			out = append(out, "{"+strings.Join(inner, ", ")+"}")
		}
	})
	if err != nil {
		return nil, false
	}
	return out, true
}

func (s style) secret(name string) bool { return !s.whole && isSecretName(name) }

func (s style) quote(text string) string { return strconv.Quote(s.clip(text)) }

func (s style) clip(text string) string {
	if s.whole {
		return text
	}
	return clip(text)
}

func size(data []byte) string { return fmt.Sprintf("(%d bytes)", len(data)) }

// isText reports bytes that are text rather than a message.
func isText(b []byte) bool {
	return utf8.Valid(b) && strings.IndexFunc(string(b), func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

func quote(s string) string { return strconv.Quote(clip(s)) }

// printable replaces what could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "") + "..."
}
