package referee

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"kong-go-plugins/internal/transcript"
)

// blanks is what two runs of the same Kong differ in, and nothing else: it is replaced on both sides before they are
// compared. Besides these
//   - fields of JSON objects and of protobuf maps are put in order: Kong's come in the order of a hash table;
//   - the size of a response in Log.Serialize is taken without the digits of the latencies in it, and left out of a
//     chunked response, where it depends on how nginx and the upstream cut the chunks;
//   - InstanceStatus, which Kong reads only the id of, is compared without its name and start.
var blanks = []struct { // read-only
	why  string
	what *regexp.Regexp
	with string
}{
	{"latencies in headers", regexp.MustCompile(`"(x-kong-(?:proxy|upstream|response)-latency)":"\d+"`), `"$1":"N"`},
	{"latencies and time stamps", regexp.MustCompile(`"(kong|proxy|request|receive|balancer_\w+|started_at|\w+ed_at)":[-0-9.e+]+`), `"$1":N`},
	{"time stamps of entities", regexp.MustCompile(`"(createdAt|updatedAt)":"\d+"`), `"$1":"T"`},
	{"the Date header", regexp.MustCompile(`"date":"[^"]*"`), `"date":"D"`},
	{"Nginx.ReqStartTime", regexp.MustCompile(`"v":\d{10}(\.\d+)?\b`), `"v":TIME`},
	{"request ids, Kong's and nginx's", regexp.MustCompile(`"(id|x-kong-request-id|v|request_id)":"[0-9a-f]{32}"`), `"$1":"ID"`},
	{"the node's id", regexp.MustCompile(`"v":"[0-9a-f]{8}-[0-9a-f-]{27}"`), `"v":"UUID"`},
	{"the upstream's port", regexp.MustCompile(`"port":\d+`), `"port":N`},
	{"the gateway's port in URLs", regexp.MustCompile(`http://([a-z0-9.]+):\d+/`), `http://$1:PORT/`},
	{"the gateway's port in headers", regexp.MustCompile(`"x-forwarded-port":"\d+"`), `"x-forwarded-port":"N"`},
	{"the folder of body files and their names", regexp.MustCompile(`"bodyFilepath":"[^"]*"`), `"bodyFilepath":"FILE"`},
}

// normalJSON is a JSON text with sorted fields and without what differs between two runs.
func normalJSON(text []byte) string {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return fmt.Sprintf("no JSON: %q", text)
	}
	if root, ok := v.(map[string]any); ok {
		if response, ok := root["response"].(map[string]any); ok {
			normalSize(response)
		}
		if headers, ok := root["headers"].(map[string]any); ok && root["body_len"] != nil {
			headers["host"] = regexp.MustCompile(`^127\.0\.0\.1:\d+$`).ReplaceAllString(fmt.Sprint(headers["host"]), "127.0.0.1:N")
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	for _, b := range blanks {
		out = b.what.ReplaceAll(out, []byte(b.with))
	}
	return string(out)
}

// A time stamp on the full second has no fraction.
func TestNormalTimes(t *testing.T) {
	for _, v := range []string{"1795286203", "1795286203.5", "1795286203.045"} {
		assert.Equal(t, `{"v":TIME}`, normalJSON([]byte(`{"v": `+v+`}`)))
	}
	assert.Equal(t, `{"v":17952862030}`, normalJSON([]byte(`{"v": 17952862030}`)))
}

func normalSize(response map[string]any) {
	headers, _ := response["headers"].(map[string]any)
	number, _ := response["size"].(json.Number)
	size, err := number.Int64()
	if err != nil || headers["transfer-encoding"] == "chunked" {
		delete(response, "size")
		return
	}
	for _, name := range latencies {
		digits, _ := headers[name].(string)
		size -= int64(len(digits))
	}
	response["size"] = size
}

var latencies = []string{"x-kong-proxy-latency", "x-kong-upstream-latency", "x-kong-response-latency"} // read-only

// messageTypes are the messages of PDK calls by kind of frame and method, as recorded.
var messageTypes = sync.OnceValue(func() map[[2]string]string {
	types := map[[2]string]string{}
	for _, name := range transcript.Names() {
		frames, err := transcript.Load(name)
		if err != nil {
			panic("the recordings are embedded: " + err.Error())
		}
		for _, f := range frames {
			if f.Type != "" {
				types[[2]string{f.Kind, f.Method}] = f.Type
			}
		}
	}
	return types
})

// normalFrame is a frame's text without what differs between two runs.
func normalFrame(kind, method string, payload []byte) string {
	switch kind {
	case transcript.Connect, transcript.Close, transcript.End:
		return kind
	case transcript.Method:
		return fmt.Sprintf("%s %q", kind, payload)
	}
	return fmt.Sprintf("%s %s %s", kind, method, normalMessage(kind, method, payload))
}

func normalMessage(kind, method string, payload []byte) string {
	switch method {
	case "kong.log.serialize", "kong.service.response.get_raw_body":
		var s kong_plugin_protocol.ByteString
		if err := proto.Unmarshal(payload, &s); err != nil {
			return err.Error()
		}
		if len(s.V) > 0 {
			return normalJSON(s.V)
		}
	}
	name := messageTypes()[[2]string{kind, method}]
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return fmt.Sprintf("%x", payload)
	}
	m := mt.New().Interface()
	if err := proto.Unmarshal(payload, m); err != nil {
		return "not UTF-8: " + sortedBytes(payload) // the fields of a map come in any order
	}
	extra := ""
	switch m := m.(type) {
	case *kong_plugin_protocol.RpcCall:
		if start := m.GetCmdStartInstance(); start != nil {
			extra = normalJSON(start.Config)
			start.Config = nil
		}
	case *kong_plugin_protocol.RpcReturn:
		if status := m.GetInstanceStatus(); status != nil {
			status.Name, status.StartedAt = "", 0
		}
	}
	text, err := protojson.Marshal(m)
	if err != nil {
		return fmt.Sprintf("%v %x", err, payload)
	}
	return normalJSON(text) + extra
}

func sortedBytes(b []byte) string {
	b = slices.Clone(b)
	slices.Sort(b)
	return fmt.Sprintf("%x", b)
}
