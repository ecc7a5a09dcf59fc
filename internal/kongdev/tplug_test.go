package kongdev

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server"
)

// tplug is the plugin of the recorded conversations, on go-pdk's own server: the
// test binary under that name. What it does in each phase is chosen by the
// request's x-test header.
func runTplug() {
	if err := server.StartServer(func() any { return &tplug{} }, "0.1.0", 1500); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type tplug struct {
	Message string            `json:"message"`
	Num     int               `json:"num"`
	Flag    bool              `json:"flag"`
	List    []string          `json:"list"`
	Map     map[string]string `json:"map"`
	Sub     struct {
		A string `json:"a"`
		B []int  `json:"b"`
	} `json:"sub"`
}

// Access sets a header each way, then does what x-test says.
func (c *tplug) Access(kong *pdk.PDK) {
	test, _ := kong.Request.GetHeader("x-test")
	text, _ := json.Marshal(c)
	_ = kong.Response.SetHeader("X-Go-Access", "msg="+c.Message+" conf="+string(text))
	_ = kong.ServiceRequest.SetHeader("X-To-Upstream", "from-go")
	_ = kong.Ctx.SetShared("mark", "abc")
	switch word, arg, _ := strings.Cut(test, "="); word {
	case "exit":
		kong.Response.Exit(418, []byte(`{"teapot":true}`), map[string][]string{"Content-Type": {"application/json"}, "X-Multi": {"a", "b"}})
	case "panic":
		panic("asked to")
	case "body":
		b, err := kong.Request.GetRawBody()
		_ = kong.Response.SetHeader("X-Body-Len", fmt.Sprintf("%d err=%v", len(b), err))
	case "badpdk":
		_, _ = kong.Response.GetStatus()
	case "slow":
		d, _ := time.ParseDuration(arg)
		time.Sleep(d)
	case "nobuffer":
		_ = kong.Nginx.SetCtx("buffered_proxying", false)
	case "refuse":
		_ = kong.Service.SetTarget("127.0.0.1", 9)
		_ = kong.Nginx.SetCtx("delayed_response", map[string]any{
			"status_code": 401, "content": map[string]any{"message": "Unauthorized"}, "headers": map[string]any{"WWW-Authenticate": "Key"},
		})
	case "pid":
		_ = kong.Response.SetHeader("X-Plugin-Pid", fmt.Sprint(os.Getpid()))
		_ = kong.Response.SetHeader("X-Plugin-Env", strings.Join(os.Environ(), " "))
	}
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

// Log prints what it gets to standard error, for the gateway's log.
func (c *tplug) Log(kong *pdk.PDK) {
	text, err := kong.Log.Serialize()
	status, _ := kong.Response.GetStatus()
	mark, _ := kong.Ctx.GetSharedString("mark")
	fmt.Fprintf(os.Stderr, "LOG %d %s %v %s\n", status, mark, err, text)
}
