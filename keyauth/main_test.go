package keyauth

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"github.com/Kong/go-pdk/server"

	"kong-go-plugins/schema"
)

// TestMain makes this test binary several programs: the tests, and under other file names plugins on go-pdk's own server:
// keyauth, under which the same handler must work too, and plugins that run before and behind it.
func TestMain(m *testing.M) {
	executable, err := os.Executable()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch name := filepath.Base(executable); name {
	case "keyauth":
		gate := NewGate(func(_, text string) { fmt.Fprintln(os.Stderr, text) })
		servePlugin(Schema(), Priority, func() any { return New(gate) })
	case "testearly":
		servePlugin(schema.Plugin{Name: name}, 1400, func() any { return &earlyAuth{} })
	case "testlate":
		servePlugin(schema.Plugin{Name: name}, 900, func() any { return &lateView{} })
	default:
		os.Exit(m.Run())
	}
}

// servePlugin runs a plugin under go-pdk's own server, with a dump of ours, since that server has none with defaults.
func servePlugin(s schema.Plugin, priority int, newConfig func() any) {
	if slices.Contains(os.Args, "-dump") {
		_, _ = os.Stdout.Write(s.Dump(schema.DumpInfo{Name: s.Name, Version: Version, Priority: priority, Phases: []string{"access"}}))
		return
	}
	if err := server.StartServer(func() any { return newConfig() }, Version, priority); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// earlyAuth authenticates, or makes anonymous, who the header `early` names.
type earlyAuth struct{}

func (*earlyAuth) Access(kong *pdk.PDK) {
	name, _ := kong.Request.GetHeader("early")
	if name == "" {
		return
	}
	consumer := &entities.Consumer{Id: "b1a2c3d4-0000-4000-8000-000000000001", Username: name}
	if name == "bob" {
		consumer.Id = bobsID
	}
	if name == "anonymous" {
		_ = kong.Client.Authenticate(consumer, nil)
	} else {
		_ = kong.Client.Authenticate(consumer, &client.AuthenticatedCredential{Id: "early"})
	}
	_ = kong.ServiceRequest.SetHeader("X-Consumer-Username", name)
}

// lateView tells the client what Kong knows of it.
type lateView struct{}

func (*lateView) Access(kong *pdk.PDK) {
	consumer, _ := kong.Client.GetConsumer()
	credential, _ := kong.Client.GetCredential()
	groups, _ := kong.Ctx.GetSharedAny("authenticated_groups")
	_ = kong.Response.SetHeader("Late", strings.Join([]string{consumer.Username, consumer.CustomId, credential.Id, fmt.Sprint(groups)}, "|"))
}
