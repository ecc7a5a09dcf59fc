// Package referee judges kongdev by recordings of a real Kong Gateway 3.9.1 and a small plugin on go-pdk's own server
// (internal/transcript).
//
// TestRecordings plays the plugin's side byte for byte and compares what kongdev sends. TestLive runs a plugin of the
// recorded behaviour, one source, on go-pdk's server and on internal/pluginserver, and compares the whole conversation.
// Both compare the client's response where it was recorded.
//
// What is blanked before a comparison is in normal_test.go, the differences that remain are in accepted_test.go.
package referee

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/internal/pluginserver"
	"kong-go-plugins/schema"
)

// The folders that a copy of this test binary lies in: they name the server that it runs on. Kong gives its plugins no
// environment to tell by, and takes the plugin's name from the file's.
const (
	onGoPDK = "gopdk"
	onOurs  = "ours"
)

// newConfig makes the configurations of the recorded plugins, by plugin name.
var newConfig = map[string]func() any{ // read-only
	"tplug": func() any { return &tplug{} },
	"probe": func() any { return &probe{} },
	"bad":   func() any { return &bad{} },
	"noop":  func() any { return &noop{} },
}

const (
	pluginVersion  = "0.1.0"
	pluginPriority = 1500
)

// TestMain makes this test binary the tests, or a plugin server by its folder's name.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	name := filepath.Base(executable)
	switch filepath.Base(filepath.Dir(executable)) {
	case onGoPDK:
		if err := server.StartServer(newConfig[name], pluginVersion, pluginPriority); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	case onOurs:
		os.Exit(pluginserver.Run(pluginserver.Plugin{
			Name: name, Version: pluginVersion, Priority: pluginPriority, New: newConfig[name],
			Schema: schema.Plugin{Name: name, Fields: pluginFields[name]},
		}))
	default:
		os.Exit(m.Run())
	}
}

// pluginFields declare for our server what go-pdk finds in the structs.
var pluginFields = map[string][]schema.Field{ // read-only
	"tplug": {
		{Name: "message", Type: schema.String}, {Name: "num", Type: schema.Integer}, {Name: "flag", Type: schema.Boolean},
		{Name: "list", Type: schema.Array, Elements: &schema.Field{Type: schema.String}},
		{Name: "map", Type: schema.Map, Keys: &schema.Field{Type: schema.String}, Values: &schema.Field{Type: schema.String}},
		{Name: "ptr", Type: schema.Integer},
		{Name: "sub", Type: schema.Record, Fields: []schema.Field{
			{Name: "a", Type: schema.String}, {Name: "b", Type: schema.Array, Elements: &schema.Field{Type: schema.Integer}},
		}},
	},
	"probe": {{Name: "message", Type: schema.String}, {Name: "num", Type: schema.Integer}},
	"bad":   {{Name: "message", Type: schema.String}, {Name: "num", Type: schema.Integer}},
}

// tplug is the plugin of the recordings 01 to 16. What it does is chosen by the request's x-test header.
type tplug struct {
	Message string            `json:"message"`
	Num     int               `json:"num"`
	Flag    bool              `json:"flag"`
	List    []string          `json:"list"`
	Map     map[string]string `json:"map"`
	Ptr     *int              `json:"ptr"`
	Sub     struct {
		A string `json:"a"`
		B []int  `json:"b"`
	} `json:"sub"`
}

// Access sets a header each way, then does what x-test says.
func (c *tplug) Access(kong *pdk.PDK) {
	test, _ := kong.Request.GetHeader("x-test")
	text, _ := json.Marshal(c)
	_ = kong.Response.SetHeader("X-Go-Access", "msg="+c.Message+" conf="+string(text)+" uid=0")
	_ = kong.ServiceRequest.SetHeader("X-To-Upstream", "from-go")
	_ = kong.Ctx.SetShared("mark", "abc")
	switch test {
	case "exit":
		kong.Response.Exit(418, []byte(`{"teapot":true}`), map[string][]string{"Content-Type": {"application/json"}, "X-Multi": {"a", "b"}})
	case "exit-more":
		kong.Response.Exit(419, []byte("x"), nil)
		_ = kong.Response.SetHeader("X-After", "exit")
	case "panic":
		panic("the request asked for it")
	case "body":
		b, err := kong.Request.GetRawBody()
		_ = kong.Response.SetHeader("X-Body-Len", fmt.Sprintf("%d err=%v", len(b), err))
	case "hdrs":
		c.getters(kong)
	case "badpdk":
		_, _ = kong.Response.GetStatus()
	case "loglvl":
		_ = kong.Log.Err("an err ", 1, " two")
		_ = kong.Log.Notice("a notice")
	case "sleep300ms":
		meeting.wait()
	}
}

func (*tplug) getters(kong *pdk.PDK) {
	_, _ = kong.Request.GetHeaders(-1)
	_, _ = kong.Request.GetHeaders(2)
	_, _ = kong.Request.GetQuery(-1)
	_, _ = kong.Request.GetPath()
	_, _ = kong.Request.GetRawQuery()
	_, _ = kong.Client.GetIp()
	_, _ = kong.Request.GetHeader("x-missing")
	_, _ = kong.Client.GetConsumer()
	_, _ = kong.Router.GetRoute()
	_, _ = kong.Router.GetService()
	_, _ = kong.Client.GetForwardedIp()
	_, _ = kong.Nginx.GetVar("request_id")
	_, _ = kong.Ctx.GetSharedAny("nope")
	_, _ = kong.Client.GetCredential()
}

// Response looks at what the upstream answered.
func (c *tplug) Response(kong *pdk.PDK) {
	status, err := kong.Response.GetStatus()
	source, serr := kong.Response.GetSource()
	mark, merr := kong.Ctx.GetSharedString("mark")
	_ = kong.Response.SetHeader("X-Go-Response", fmt.Sprintf("%d %v src=%s %v mark=%s %v", status, err, source, serr, mark, merr))
	switch test, _ := kong.Request.GetHeader("x-test"); test {
	case "respexit":
		kong.Response.Exit(502, []byte("replaced"), nil)
	case "respbody":
		_, _ = kong.ServiceResponse.GetRawBody()
		_, _ = kong.ServiceResponse.GetHeaders(-1)
	}
}

// Log reads what is left of the request.
func (c *tplug) Log(kong *pdk.PDK) {
	_, _ = kong.Log.Serialize()
	_, _ = kong.Response.GetStatus()
	_, _ = kong.Ctx.GetSharedString("mark")
	_, _ = kong.Request.GetHeader("x-test")
	_, _ = kong.Response.GetHeaders(-1)
}

// meeting makes two handlers overlap. The recorded plugin slept instead.
var meeting = rendezvous{both: make(chan struct{})}

type rendezvous struct {
	mu   sync.Mutex
	here int
	both chan struct{}
}

func (r *rendezvous) wait() {
	r.mu.Lock()
	r.here++
	both := r.both
	if r.here == 2 {
		close(both)
		r.here, r.both = 0, make(chan struct{})
	}
	r.mu.Unlock()
	select {
	case <-both:
	case <-time.After(time.Minute): // a failed test, not a hung one
	}
}

// bad is the plugin of recording 17.
type bad struct {
	Message string `json:"message"`
	Num     int    `json:"num"`
}

// Access asks for an argument whose name is not UTF-8.
func (*bad) Access(kong *pdk.PDK) {
	if test, _ := kong.Request.GetHeader("x-test"); test == "getarg" {
		_, _ = kong.Request.GetQueryArg("\xff\xfe")
	}
}

// probe is the plugin of the recordings 20 to 30: each asks Kong one thing.
type probe struct {
	Message string `json:"message"`
	Num     int    `json:"num"`
}

var probes = map[string]func(*pdk.PDK){ // read-only
	"shared": func(kong *pdk.PDK) {
		for _, v := range []any{true, false, "", 0, 1.5, nil, []any{"a", 1}, map[string]any{"x": true, "y": false, "z": nil}} {
			_ = kong.Ctx.SetShared("v", v)
			_, _ = kong.Ctx.GetSharedAny("v")
		}
	},
	"auth": func(kong *pdk.PDK) {
		bob, _ := kong.Client.LoadConsumer("bob", true)
		_, _ = kong.Client.LoadConsumer("nobody", true)
		_ = kong.Client.Authenticate(&bob, &client.AuthenticatedCredential{Id: "cred-1", ConsumerId: bob.Id})
		_, _ = kong.Client.GetConsumer()
		_, _ = kong.Client.GetCredential()
	},
	"authnil": func(kong *pdk.PDK) {
		_ = kong.Client.Authenticate(nil, &client.AuthenticatedCredential{Id: "x"})
	},
	"setuphdr": func(kong *pdk.PDK) {
		_ = kong.ServiceRequest.SetHeader("host", "changed.example")
		_ = kong.ServiceRequest.AddHeader("X-Add", "1")
		_ = kong.ServiceRequest.AddHeader("X-Add", "2")
		_ = kong.ServiceRequest.ClearHeader("user-agent")
		_ = kong.ServiceRequest.SetHeaders(map[string][]string{"X-M": {"1", "2"}, "X-S": {"s"}})
		_ = kong.ServiceRequest.SetPath("/echo")
		_ = kong.ServiceRequest.SetQuery(map[string][]string{"q": {"1", "2"}, "r": {"x y"}})
		_ = kong.ServiceRequest.SetMethod("PUT")
		_ = kong.ServiceRequest.SetRawBody("new body")
	},
	"exitnil": func(kong *pdk.PDK) { kong.Response.Exit(403, nil, nil) },
	"exitempty": func(kong *pdk.PDK) {
		kong.Response.Exit(401, []byte{}, map[string][]string{"WWW-Authenticate": {`Key realm="x"`}})
	},
	"exitstatus": func(kong *pdk.PDK) { kong.Response.ExitStatus(204) },
	"exitbin": func(kong *pdk.PDK) {
		kong.Response.Exit(200, []byte("\x00\xff\xfe bin"), map[string][]string{"Content-Type": {"application/octet-stream"}})
	},
	"vars": func(kong *pdk.PDK) {
		for _, name := range strings.Fields("remote_addr request_uri bogus_var request_length ssl_protocol upstream_addr") {
			_, _ = kong.Nginx.GetVar(name)
		}
		_, _ = kong.Nginx.ReqStartTime()
		_, _ = kong.Node.GetId()
		_, _ = kong.Client.GetProtocol(true)
		_, _, _ = kong.Request.GetUriCaptures()
		_, _ = kong.IP.IsTrusted("127.0.0.1")
		_, _ = kong.Request.GetHttpVersion()
	},
	"addhdr": func(kong *pdk.PDK) {
		_ = kong.Response.AddHeader("X-R", "1")
		_ = kong.Response.AddHeader("X-R", "2")
		_ = kong.Response.ClearHeader("server")
		_ = kong.Response.SetHeaders(map[string][]string{"X-Q": {"a", "b"}})
	},
	"utf8": func(kong *pdk.PDK) {
		_, _ = kong.Request.GetHeader("x-bin")
		_, _ = kong.Request.GetHeaders(-1)
		_, _ = kong.Request.GetRawBody()
		_, _ = kong.Request.GetRawQuery()
		_, _ = kong.Request.GetPath()
		_, _ = kong.Request.GetQueryArg("b")
	},
}

// Access asks what x-test names.
func (*probe) Access(kong *pdk.PDK) {
	test, _ := kong.Request.GetHeader("x-test")
	if ask := probes[test]; ask != nil {
		ask(kong)
	}
}

// Log reads the header and the serialized request.
func (*probe) Log(kong *pdk.PDK) {
	_, _ = kong.Request.GetHeader("x-test")
	_, _ = kong.Log.Serialize()
}
