package benchmark

import (
	"fmt"
	"strings"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/pluginserver"
)

// A benchCase is one event: what the handler does on any server (plain), what it does with our server's own means (ours),
// and what Kong answers.
type benchCase struct {
	name    string
	plain   func(kong *pdk.PDK) error
	ours    func(kong *pdk.PDK) error // nil: as plain
	answers map[string][]byte
}

var consumer = &entities.Consumer{Id: "def4f7d3-9863-5ad2-8fa9-c949bf26f55e", Username: "bob"}
var credential = &client.AuthenticatedCredential{Id: "b1f09595-f767-55e1-bd7a-de7e8d246b15"}

// cases are read-only.
var cases = []benchCase{
	{name: "no-op event", plain: func(*pdk.PDK) error { return nil }},
	{
		name: "GetHeader",
		plain: func(kong *pdk.PDK) error {
			_, err := kong.Request.GetHeader("x-api-key")
			return err
		},
		ours: func(kong *pdk.PDK) error {
			_, err := pluginserver.Var(kong, "http_x_api_key")
			return err
		},
		answers: map[string][]byte{"kong.request.get_header": text("a-key-of-32-characters-0123456789"), "kong.nginx.get_var": text("a-key-of-32-characters-0123456789")},
	},
	{
		name: "SetHeader",
		plain: func(kong *pdk.PDK) error {
			return kong.ServiceRequest.SetHeader("X-Consumer-Username", "bob")
		},
	},
	{
		name: "GetHeaders, 15",
		plain: func(kong *pdk.PDK) error {
			_, err := kong.Request.GetHeaders(100)
			return err
		},
		ours: func(kong *pdk.PDK) error {
			_, err := pluginserver.Headers(kong, 100)
			return err
		},
		answers: map[string][]byte{"kong.request.get_headers": headers(15)},
	},
	{
		name: "key check",
		plain: func(kong *pdk.PDK) error {
			if _, err := kong.Request.GetHeaders(100); err != nil {
				return err
			}
			if err := kong.Client.Authenticate(consumer, credential); err != nil {
				return err
			}
			return kong.ServiceRequest.SetHeaders(map[string][]string{
				"X-Consumer-ID": {consumer.Id}, "X-Consumer-Username": {"bob"}, "X-Credential-Identifier": {credential.Id},
				"X-Consumer-Custom-ID": {}, "X-Anonymous-Consumer": {},
			})
		},
		ours: func(kong *pdk.PDK) error {
			if _, err := pluginserver.Var(kong, "http_x_api_key"); err != nil {
				return err
			}
			if err := kong.Client.Authenticate(consumer, credential); err != nil {
				return err
			}
			if err := kong.ServiceRequest.SetHeader("X-Consumer-ID", consumer.Id); err != nil {
				return err
			}
			if err := kong.ServiceRequest.SetHeader("X-Consumer-Username", "bob"); err != nil {
				return err
			}
			if err := kong.ServiceRequest.SetHeader("X-Credential-Identifier", credential.Id); err != nil {
				return err
			}
			if err := kong.ServiceRequest.ClearHeader("X-Consumer-Custom-ID"); err != nil {
				return err
			}
			return kong.ServiceRequest.ClearHeader("X-Anonymous-Consumer")
		},
		answers: map[string][]byte{"kong.request.get_headers": headers(10), "kong.nginx.get_var": text("a-key-of-32-characters-0123456789")},
	},
	{
		name: "Serialize, 4 KB",
		plain: func(kong *pdk.PDK) error {
			_, err := kong.Log.Serialize()
			return err
		},
		ours: func(kong *pdk.PDK) error {
			_, err := pluginserver.Serialize(kong)
			return err
		},
		answers: map[string][]byte{"kong.log.serialize": text(strings.Repeat("s", 4096))},
	},
	bodyCase("body 10 KB", 10<<10),
	bodyCase("body 1 MB", 1<<20),
}

func bodyCase(name string, size int) benchCase {
	return benchCase{
		name: name,
		plain: func(kong *pdk.PDK) error {
			b, err := kong.Request.GetRawBody()
			if len(b) != size {
				return fmt.Errorf("%d bytes: %w", len(b), err)
			}
			return err
		},
		ours: func(kong *pdk.PDK) error {
			b, _, err := pluginserver.RequestBody(kong, 2<<20)
			if len(b) != size {
				return fmt.Errorf("%d bytes: %w", len(b), err)
			}
			return err
		},
		answers: map[string][]byte{"kong.request.get_raw_body": body(size)},
	}
}

// phase is where Kong allows the case's calls.
func (c benchCase) phase() string {
	if strings.HasPrefix(c.name, "Serialize") {
		return "log"
	}
	return "access"
}

func text(s string) []byte { return mustMarshal(&kong_plugin_protocol.String{V: s}) }

func body(size int) []byte {
	return mustMarshal(&kong_plugin_protocol.RawBodyResult{Kind: &kong_plugin_protocol.RawBodyResult_Content{Content: []byte(strings.Repeat("b", size))}})
}

func headers(n int) []byte {
	m := map[string]any{}
	for i := range n {
		m[fmt.Sprintf("x-header-%02d", i)] = fmt.Sprintf("the value of header number %d", i)
	}
	st, err := structpb.NewStruct(m)
	if err != nil {
		panic(err)
	}
	return mustMarshal(st)
}

func mustMarshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
