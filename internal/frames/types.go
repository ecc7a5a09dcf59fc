package frames

import (
	"encoding/json"
	"strings"
	"unicode"

	pb "github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Messages are a method's messages.
type Messages struct{ Args, Reply protoreflect.MessageType }

// methods are the calls of Kong's plugin protocol by name, read from its description.
var methods = readMethods() // read-only

func readMethods() map[string]Messages {
	all := map[string]Messages{}
	services := pb.File_server_kong_plugin_protocol_pluginsocket_proto.Services()
	for i := range services.Len() {
		list := services.Get(i).Methods()
		for j := range list.Len() {
			m := list.Get(j)
			name, _ := proto.GetExtension(m.Options(), pb.E_MethodName).(string)
			if name == "" {
				name = methodName(string(m.Name()))
			}
			all[name] = Messages{messageType(m.Input().FullName()), messageType(m.Output().FullName())}
		}
	}
	return all
}

// MethodMessages are the messages of a PDK method; false for one that the protocol does not have.
func MethodMessages(method string) (Messages, bool) {
	m, ok := methods[method]
	return m, ok
}

// methodName turns Service_Request_SetHeader into kong.service.request.set_header.
func methodName(rpc string) string {
	var b strings.Builder
	b.WriteString("kong.")
	start := true
	for _, r := range rpc {
		switch {
		case r == '_':
			b.WriteByte('.')
			start = true
			continue
		case unicode.IsUpper(r) && !start:
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
		start = false
	}
	return b.String()
}

func messageType(name protoreflect.FullName) protoreflect.MessageType {
	t, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		panic("the protocol's description is linked in: " + err.Error())
	}
	return t
}

// typeOf is the message that a frame of a kind carries, nil for none.
func typeOf(kind, method string) protoreflect.MessageType {
	switch kind {
	case Call:
		return (*pb.RpcCall)(nil).ProtoReflect().Type()
	case RPCReturn:
		return (*pb.RpcReturn)(nil).ProtoReflect().Type()
	case Args:
		return methods[method].Args
	case Reply:
		return methods[method].Reply
	}
	return nil
}

// decode is a payload as protobuf JSON; nil when it is not that message, or holds text that is not UTF-8.
func decode(t protoreflect.MessageType, payload []byte) json.RawMessage {
	if t == nil {
		return nil
	}
	m := t.New().Interface()
	if proto.Unmarshal(payload, m) != nil {
		return nil
	}
	out, err := protojson.Marshal(m)
	if err != nil {
		return nil
	}
	return out
}
