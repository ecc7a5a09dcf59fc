package moesif

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/schema"
)

// TestMain makes this test binary three programs: the tests, and under other file names two plugin servers of go-pdk
// itself for the end-to-end tests: moesif, and one that authenticates.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch name := filepath.Base(executable); name {
	case "moesif":
		capture := NewCapture(func(_, text string) { fmt.Fprintln(os.Stderr, text) })
		servePlugin(Schema(), []string{"access", "response", "log"}, Priority, func() any { return New(capture) })
	case "testauth":
		servePlugin(schema.Plugin{Name: name}, []string{"access"}, 1000, func() any { return &testAuth{} })
	case "testearly", "testlate":
		servePlugin(schema.Plugin{Name: name}, []string{"access", "response"}, map[string]int{"testearly": 1000, "testlate": 1}[name], func() any { return &testBuffer{name: name} })
	default:
		_ = flag.Set("kong-prefix", "") // go-pdk's default is a folder of this machine
		os.Exit(m.Run())
	}
}

// servePlugin runs a plugin under go-pdk's own server, with a dump of ours, since that server has none with defaults.
func servePlugin(s schema.Plugin, phases []string, priority int, newConfig func() any) {
	if slices.Contains(os.Args, "-dump") {
		_, _ = os.Stdout.Write(s.Dump(schema.DumpInfo{Name: s.Name, Version: Version, Priority: priority, Phases: phases}))
		return
	}
	if err := server.StartServer(func() interface{} { return newConfig() }, Version, priority); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// testBuffer wants the responses, and shows that it has got them. The one that runs before moesif says so.
type testBuffer struct{ name string }

func (b *testBuffer) Access(kong *pdk.PDK) {
	if b.name == "testearly" {
		_ = kong.Nginx.SetCtx(bufferingKey, b.name)
	}
}

func (b *testBuffer) Response(kong *pdk.PDK) {
	body, _ := kong.ServiceResponse.GetRawBody()
	_ = kong.Response.SetHeader("X-"+b.name, strconv.Itoa(len(body)))
}

// testAuth authenticates the consumer that the header `as` names, and refuses with 401 what has `as: nobody`.
type testAuth struct{}

func (*testAuth) Access(kong *pdk.PDK) {
	name, err := kong.Request.GetHeader("as")
	switch {
	case err != nil || name == "":
	case name == "nobody":
		kong.Response.Exit(401, []byte(`{"message":"Unauthorized"}`), map[string][]string{"Content-Type": {"application/json"}})
	default:
		_ = kong.Client.Authenticate(&entities.Consumer{Id: "b1a2c3d4-0000-4000-8000-000000000001", Username: name, CustomId: "custom-" + name},
			&client.AuthenticatedCredential{Id: "credential-of-" + name, ConsumerId: "b1a2c3d4-0000-4000-8000-000000000001"})
	}
}
