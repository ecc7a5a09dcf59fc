// Command render writes the plugins of a kong.yml for other tools: the Admin API, Konnect's API, the Kong Ingress
// Controller, decK against Konnect, Terraform.
//
//	go run ./examples/render -to kic examples/configure/datakit-service/kong.yml
//	go run ./examples/render -write examples/configure/*/kong.yml
//
// Only plugins are rendered: services, routes, consumers and groups that they are for have to be there.
package main

//go:generate sh -c "go run . -write ../configure/*/kong.yml"

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// A tool is something that a plugin can be configured by.
type tool struct {
	name, file string
	render     func(document) (string, error)
}

func tools() []tool {
	return []tool{
		{"admin", "admin-api.sh", adminAPI},
		{"konnect", "konnect-api.sh", konnectAPI},
		{"kic", "kic.yaml", ingressController},
		{"deck", "deck.yml", deck},
		{"terraform", "main.tf", terraform},
	}
}

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("render", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	to := flags.String("to", "", "print the form for this `tool`: admin, konnect, kic, deck or terraform")
	write := flags.Bool("write", false, "write all forms, each into a file beside the given one")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stderr, "usage: render -to TOOL FILE...\n       render -write FILE...")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return 0
	case err != nil:
	case flags.NArg() == 0:
		err = errors.New("a file is missing: name a kong.yml")
	case (*to == "") == !*write:
		err = errors.New("give either -to and a tool, or -write")
	}
	if err != nil {
		fmt.Fprintf(stderr, "render: %v; -help lists the flags\n", err)
		return 2
	}
	for _, file := range flags.Args() {
		if err := renderFile(file, *to, stdout); err != nil {
			fmt.Fprintf(stderr, "render: %s: %v\n", file, err)
			return 1
		}
	}
	return 0
}

// renderFile prints one form of a file, or writes all of them beside it.
func renderFile(file, to string, stdout io.Writer) error {
	d, err := read(file)
	if err != nil {
		return err
	}
	for _, t := range tools() {
		if to != "" && to != t.name {
			continue
		}
		text, err := t.render(d)
		if err != nil {
			return err
		}
		if to != "" {
			_, err = io.WriteString(stdout, text)
			return err
		}
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), t.file), []byte(text), mode(t.file)); err != nil {
			return err
		}
	}
	if to != "" {
		return fmt.Errorf("-to %s: no such tool; there are admin, konnect, kic, deck and terraform", to)
	}
	return nil
}

// mode is that of a script, or of another file.
func mode(name string) os.FileMode {
	if filepath.Ext(name) == ".sh" {
		return 0o755
	}
	return 0o644
}
