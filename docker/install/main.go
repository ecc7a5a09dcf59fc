// Command install is the entrypoint of the carrier image, which has no shell and no cp: it copies the plugin binaries of
// the image into a mounted folder, from where Kong starts them.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	self, err := os.Executable()
	if err == nil {
		err = run(os.Args[1:], filepath.Join(filepath.Dir(self), "plugins"), os.Stdout) // /install and /plugins in the image
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "install: %v\n", err)
		os.Exit(1)
	}
}

// run copies what the arguments name from the folder from, and says on w what it did.
func run(args []string, from string, w io.Writer) error {
	f := flag.NewFlagSet("install", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	only := f.String("only", "", "comma `list` of the plugins to copy; default all")
	name := f.String("name", "", "copy under another name, `old=new`: Kong takes a plugin's name from its file")
	usage := func() string {
		var b strings.Builder
		fmt.Fprintln(&b, "usage: install [-only a,b] [-name old=new] FOLDER")
		f.SetOutput(&b)
		f.PrintDefaults()
		return b.String()
	}
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		_, err = io.WriteString(w, usage())
		return err
	} else if err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("%d folders given; expected the one to copy into\n%s", f.NArg(), usage())
	}
	have, err := names(from)
	if err != nil {
		return err
	}
	targets, err := choose(have, *only, *name)
	if err != nil {
		return err
	}
	for _, n := range have {
		if targets[n] == "" {
			continue
		}
		to := filepath.Join(f.Arg(0), targets[n])
		if err := place(filepath.Join(from, n), to); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "%s (mode 0755)\n", to); err != nil {
			return err
		}
	}
	return nil
}

// names are the plugins of the image.
func names(from string) (have []string, err error) {
	entries, err := os.ReadDir(from)
	for _, e := range entries {
		have = append(have, e.Name())
	}
	return have, err
}

// choose returns the name under which each chosen plugin is copied.
func choose(have []string, only, rename string) (map[string]string, error) {
	chosen := have
	if only != "" {
		chosen = strings.Split(only, ",")
	}
	targets := map[string]string{}
	for _, n := range chosen {
		if !slices.Contains(have, n) {
			return nil, fmt.Errorf("-only %q: no such plugin; the image has %s", n, strings.Join(have, ", "))
		}
		targets[n] = n
	}
	if rename == "" {
		return targets, nil
	}
	from, to, _ := strings.Cut(rename, "=")
	switch {
	case targets[from] == "":
		return nil, fmt.Errorf("-name %q: %q is not copied; write old=new with one of %s", rename, from, strings.Join(chosen, ", "))
	case to == "" || strings.Trim(to, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return nil, fmt.Errorf("-name %q: expected a new name of a-z, 0-9 and -", rename)
	case to != from && targets[to] != "":
		return nil, fmt.Errorf("-name %q: %q is another plugin's name", rename, to)
	}
	targets[from] = to
	return targets, nil
}

// place copies a file so that nobody ever sees half of it; a running process keeps the old one.
func place(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Dir(to), ".install-*")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("folder %s: does not exist; mount a volume there", filepath.Dir(to))
	case err != nil:
		return fmt.Errorf("folder %s: cannot be written as user %d: %w; mount it without :ro, writable for that user", filepath.Dir(to), os.Getuid(), err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(out.Name())
		}
	}()
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Chmod(0o755), out.Close()); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return os.Rename(out.Name(), to)
}
