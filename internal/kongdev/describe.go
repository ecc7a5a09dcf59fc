package kongdev

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// longest is how much of one frame's content String shows.
const longest = 2000

// String is the frame on one line for people to read. Contents can hold secrets.
func (f Frame) String() string {
	arrow := "<-"
	if f.ToPlugin {
		arrow = "->"
	}
	head := fmt.Sprintf("w%d c%-3d %s", f.Worker, f.Conn, arrow)
	switch f.Kind {
	case "connect", "close":
		return fmt.Sprintf("w%d c%-3d -- %s", f.Worker, f.Conn, f.Kind)
	case "RpcCall":
		return head + " " + describeCall(f.Data)
	case "RpcReturn":
		return head + " return " + describe(&kong_plugin_protocol.RpcReturn{}, f.Data)
	case "step_method":
		return head + " " + f.Method
	case "step_args":
		return head + "   " + describe(argsMessage(f.Method), f.Data)
	case "step_reply":
		return head + "   = " + describe(replyMessage(f.Method), f.Data)
	}
	return head + " " + f.Kind
}

func describeCall(data []byte) string {
	var call kong_plugin_protocol.RpcCall
	if err := proto.Unmarshal(data, &call); err != nil {
		return fmt.Sprintf("call %x", data)
	}
	switch {
	case call.GetCmdHandleEvent() != nil:
		e := call.GetCmdHandleEvent()
		return fmt.Sprintf("call %d event %s, instance %d", call.Sequence, e.EventName, e.InstanceId)
	case call.GetCmdStartInstance() != nil:
		s := call.GetCmdStartInstance()
		return cut(fmt.Sprintf("call %d start instance of %s: %s", call.Sequence, s.Name, s.Config))
	case call.GetCmdCloseInstance() != nil:
		return fmt.Sprintf("call %d close instance %d", call.Sequence, call.GetCmdCloseInstance().InstanceId)
	}
	return fmt.Sprintf("call %d", call.Sequence)
}

func describe(m proto.Message, data []byte) string {
	if len(data) == 0 {
		return "(nothing)"
	}
	if m == nil || proto.Unmarshal(data, m) != nil {
		return cut(fmt.Sprintf("%q", data))
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return cut(fmt.Sprintf("%q", data))
	}
	return cut(string(text))
}

func cut(s string) string {
	if len(s) <= longest {
		return s
	}
	end := longest
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", s[:end], len(s))
}

// argsMessage and replyMessage are what a method takes and answers; the name
// tells it, with a few exceptions.
func argsMessage(method string) proto.Message {
	switch method {
	case "kong.response.exit":
		return &kong_plugin_protocol.ExitArgs{}
	case "kong.client.authenticate":
		return &kong_plugin_protocol.AuthenticateArgs{}
	case "kong.client.load_consumer":
		return &kong_plugin_protocol.ConsumerSpec{}
	case "kong.client.get_protocol":
		return &kong_plugin_protocol.Bool{}
	case "kong.service.set_target":
		return &kong_plugin_protocol.Target{}
	case "kong.service.request.set_raw_body":
		return &kong_plugin_protocol.ByteString{}
	case "kong.response.set_status":
		return &kong_plugin_protocol.Int{}
	case "kong.ctx.shared.set", "kong.nginx.set_ctx", "kong.log.set_serialize_value":
		return &kong_plugin_protocol.KV{}
	}
	_, name, _ := strings.Cut(strings.TrimPrefix(method, "kong."), ".")
	switch {
	case strings.HasSuffix(name, "get_headers"), strings.HasSuffix(name, "get_query"):
		return &kong_plugin_protocol.Int{}
	case strings.HasSuffix(name, "set_headers"), strings.HasSuffix(name, "set_query"):
		return &structpb.Struct{}
	case strings.HasSuffix(name, "set_header"), strings.HasSuffix(name, "add_header"):
		return &kong_plugin_protocol.KV{}
	case strings.HasPrefix(method, "kong.log.") && name != "serialize":
		return &structpb.ListValue{}
	}
	return &kong_plugin_protocol.String{}
}

func replyMessage(method string) proto.Message {
	switch method {
	case "kong.ctx.shared.get", "kong.nginx.get_ctx":
		return &structpb.Value{}
	case "kong.client.get_consumer", "kong.client.load_consumer":
		return &kong_plugin_protocol.Consumer{}
	case "kong.client.get_credential":
		return &kong_plugin_protocol.AuthenticatedCredential{}
	case "kong.router.get_route":
		return &kong_plugin_protocol.Route{}
	case "kong.router.get_service":
		return &kong_plugin_protocol.Service{}
	case "kong.node.get_memory_stats":
		return &kong_plugin_protocol.MemoryStats{}
	case "kong.request.get_raw_body":
		return &kong_plugin_protocol.RawBodyResult{}
	case "kong.request.get_uri_captures":
		return &kong_plugin_protocol.UriCapturesResult{}
	case "kong.service.response.get_raw_body":
		return &kong_plugin_protocol.ByteString{}
	case "kong.nginx.req_start_time", "kong.request.get_http_version":
		return &kong_plugin_protocol.Number{}
	case "kong.service.set_upstream", "kong.ip.is_trusted":
		return &kong_plugin_protocol.Bool{}
	}
	switch {
	case strings.HasSuffix(method, "get_headers"), strings.HasSuffix(method, "get_query"):
		return &structpb.Struct{}
	case strings.HasSuffix(method, "port"), strings.HasSuffix(method, "get_status"):
		return &kong_plugin_protocol.Int{}
	case strings.Contains(method, ".get_"), method == "kong.log.serialize":
		return &kong_plugin_protocol.String{}
	}
	return &emptypb.Empty{}
}
