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

// ArgsText shows a call's arguments on one line of bounded length: `"X-A", "b"`. Bodies, credentials and values whose
// name sounds like a secret are given by their size. It may be used on anything that a plugin sends.
func ArgsText(method string, args []byte) string {
	switch method {
	case "kong.response.exit", "kong.service.request.set_raw_body", "kong.client.authenticate", "kong.service.request.set_raw_query":
		return size(args)
	}
	return messageText(methods[method].Args, args)
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
			if messageText(methods[method].Args, args) == strconv.Quote(name) {
				return size(reply)
			}
		}
	}
	if isSecretName(messageText(methods[method].Args, args)) {
		return size(reply)
	}
	return messageText(methods[method].Reply, reply)
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

// messageText shows a message by its type, or as numbers and texts where it is not of that type.
func messageText(t protoreflect.MessageType, payload []byte) string {
	if t != nil {
		m := t.New()
		if proto.Unmarshal(payload, m.Interface()) == nil {
			return clip(strings.Join(fieldTexts(m), ", "))
		}
	}
	texts, ok := wireTexts(payload, 0)
	if !ok {
		return size(payload)
	}
	return clip(strings.Join(texts, ", "))
}

// fieldTexts shows a message's fields in their order: the one of a plain value alone, those of several by name from the
// third on.
func fieldTexts(m protoreflect.Message) (out []string) {
	switch v := m.Interface().(type) {
	case *structpb.Value:
		return []string{valueText(v)}
	case *structpb.Struct:
		return []string{valueText(structpb.NewStructValue(v))}
	case *structpb.ListValue:
		for _, item := range v.Values {
			out = append(out, valueText(item))
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
		text := fieldText(f, m.Get(f))
		if f.Name() == "k" {
			name = m.Get(f).String()
		} else if isSecretName(name) {
			text = size([]byte(text))
		}
		if fields.Len() > 2 {
			text = string(f.Name()) + ": " + text
		}
		out = append(out, text)
	}
	return out
}

func fieldText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch {
	case f.IsMap():
		return strconv.Itoa(v.Map().Len()) + " entries"
	case f.IsList():
		var items []string
		for i := range v.List().Len() {
			items = append(items, scalarText(f, v.List().Get(i)))
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return scalarText(f, v)
}

func scalarText(f protoreflect.FieldDescriptor, v protoreflect.Value) string {
	switch f.Kind() {
	case protoreflect.MessageKind:
		switch v.Message().Interface().(type) {
		case *structpb.Value, *structpb.Struct:
			return strings.Join(fieldTexts(v.Message()), "")
		}
		return "{" + strings.Join(fieldTexts(v.Message()), ", ") + "}"
	case protoreflect.StringKind:
		return quote(v.String())
	case protoreflect.BytesKind:
		if isText(v.Bytes()) {
			return quote(string(v.Bytes()))
		}
		return size(v.Bytes())
	}
	if f.Kind() == protoreflect.DoubleKind {
		return strconv.FormatFloat(v.Float(), 'f', -1, 64)
	}
	return v.String()
}

// valueText shows a value as JSON with its keys in order.
func valueText(v *structpb.Value) string {
	switch v := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		return quote(v.StringValue)
	case *structpb.Value_NumberValue:
		return strconv.FormatFloat(v.NumberValue, 'f', -1, 64)
	case *structpb.Value_BoolValue:
		return strconv.FormatBool(v.BoolValue)
	case *structpb.Value_ListValue:
		items := []string{}
		for _, item := range v.ListValue.GetValues() {
			items = append(items, valueText(item))
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
			text := valueText(fields[name])
			if isSecretName(name) {
				text = size([]byte(text))
			}
			names[i] = quote(name) + ": " + text
		}
		return "{" + strings.Join(names, ", ") + "}"
	}
	return "nil"
}

// wireTexts shows a message without knowing its type, as number or text per field, nested ones in braces; false when it
// is none.
func wireTexts(data []byte, depth int) (out []string, ok bool) {
	name := "" // of a map's entry or of a pair
	err := eachField(data, func(n protowire.Number, f field) {
		switch {
		case !f.isBytes:
			out = append(out, strconv.FormatUint(f.number, 10))
		case n == 2 && isSecretName(name):
			out = append(out, size(f.bytes))
		case isText(f.bytes):
			if n == 1 {
				name = string(f.bytes)
			}
			out = append(out, quote(string(f.bytes)))
		default:
			var inner []string
			if depth < 8 {
				inner, _ = wireTexts(f.bytes, depth+1)
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
