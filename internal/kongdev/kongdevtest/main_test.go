package kongdevtest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/server"
)

// TestMain makes this test binary two programs: the tests, and under the name of the plugin its server.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) != "greeter" {
		os.Exit(m.Run())
	}
	if err := server.StartServer(func() any { return &greeter{} }, "1.0.0", 100); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// greeter is the plugin under test: it greets who the request's header names, and does what `do` says.
type greeter struct {
	Greeting string `json:"greeting"`
}

func (c *greeter) Access(kong *pdk.PDK) {
	do, _ := kong.Request.GetHeader("do")
	switch do {
	case "exit":
		kong.Response.Exit(418, []byte("short and stout"), nil)
	case "wrong":
		_, _ = kong.Response.GetStatus()
	}
	name, _ := kong.Request.GetHeader("name")
	_ = kong.Response.SetHeader("X-Greeting", c.Greeting+" "+name)
	_ = kong.ServiceRequest.SetHeader("X-Api-Key", "topsecret")
}

func (c *greeter) Log(kong *pdk.PDK) {
	status, _ := kong.Response.GetStatus()
	fmt.Fprintln(os.Stderr, "answered", status)
}
