package external

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"kong-go-plugins/internal/kongdev/declarative"
)

// modulePath is the module whose plugins can be built from source.
const modulePath = "kong-go-plugins"

// QueryTimeout bounds one query command, of however many; Kong itself would wait for ever.
const QueryTimeout = 30 * time.Second

// Binaries says where plugin binaries come from.
type Binaries struct {
	Dir    string            // folder that holds them, each named as its plugin; "" = build them from source
	Source string            // where to look for the source, upwards; "" = the current folder
	Cache  string            // folder for what is built; "" = the user's cache folder
	Prefix string            // Kong prefix, passed to each plugin
	Flags  []string          // further flags for each plugin's start
	Words  map[string]string // what else stands in a plugin's command lines, as for a shell; by plugin
	Log    io.Writer         // told what is being built; nil = nobody
}

// Servers finds or builds the binary of each named plugin and returns the
// commands to run it. The error names every plugin without a binary. Names
// of plugins that are part of Kong are left out: CompletePlugins says more
// about them.
func (b Binaries) Servers(ctx context.Context, names []string) ([]Server, error) {
	names = slices.DeleteFunc(slices.Clone(names), declarative.IsLuaPlugin)
	paths, err := b.find(ctx, names)
	if err != nil {
		return nil, err
	}
	for name := range b.Words {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("plugin %q: it gets flags, and nothing configures it%s", declarative.Clip(name), declarative.DidYouMean(name, names))
		}
	}
	var servers []Server
	for i, name := range names {
		command := shellQuote(paths[i])
		if words := strings.TrimSpace(b.Words[name]); words != "" {
			command += " " + words
		}
		start := []string{command, "-kong-prefix", shellQuote(b.Prefix)}
		for _, f := range b.Flags {
			start = append(start, shellQuote(f))
		}
		servers = append(servers, Server{
			Name:     name,
			Socket:   filepath.Join(b.Prefix, name+".socket"),
			QueryCmd: command + " -dump",
			StartCmd: strings.Join(start, " "),
			GraphCmd: shellQuote(paths[i]) + " graph -format json -",
		})
	}
	return servers, nil
}

func (b Binaries) find(ctx context.Context, names []string) ([]string, error) {
	var errs []error
	for _, n := range names {
		if !declarative.IsPluginName(n) {
			errs = append(errs, fmt.Errorf("plugin %q: no binary can have this name; correct it in the configuration", declarative.Clip(n)))
		}
	}
	if len(errs) > 0 || len(names) == 0 {
		return nil, errors.Join(errs...)
	}
	if b.Dir != "" {
		return b.findIn(names)
	}
	root, err := b.repository()
	if err != nil {
		return nil, err
	}
	return b.build(ctx, root, names)
}

// findIn looks for the binaries in Dir.
func (b Binaries) findIn(names []string) ([]string, error) {
	dir, err := filepath.Abs(b.Dir)
	if err != nil {
		return nil, fmt.Errorf("plugins: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("plugins: %w; name the folder with the plugin binaries by -plugins", err)
	}
	var there []string
	for _, e := range entries {
		there = append(there, e.Name())
	}
	var paths []string
	var errs []error
	for _, n := range names {
		path := filepath.Join(dir, n)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			errs = append(errs, fmt.Errorf("plugin %q: no binary %s%s; build it there (CGO_ENABLED=0 go build -o %s ./cmd/%s) or name another folder with -plugins",
				n, path, declarative.DidYouMean(n, there), shellQuote(dir+"/"), n))
		case err != nil:
			errs = append(errs, fmt.Errorf("plugin %q: %w", n, err))
		case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
			errs = append(errs, fmt.Errorf("plugin %q: %s is no executable file; make it one with chmod +x", n, path))
		}
		paths = append(paths, path)
	}
	return paths, errors.Join(errs...)
}

// repository is the folder of the module's go.mod at or above Source.
func (b Binaries) repository() (string, error) {
	dir, err := filepath.Abs(b.Source)
	if err != nil {
		return "", fmt.Errorf("plugins: %w", err)
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && slices.Contains(strings.Fields(string(data)), modulePath) {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("plugins: no binaries named and this is not the source of " + modulePath +
				"; name the folder with the plugin binaries by -plugins, or run kongdev inside the repository to build them")
		}
		dir = up
	}
}

// build compiles cmd/<name> of the repository into the cache. One at a time
// per cache folder: other gateways may be building the same.
func (b Binaries) build(ctx context.Context, root string, names []string) ([]string, error) {
	var errs []error
	var packages, paths []string
	for _, n := range names {
		if info, err := os.Stat(filepath.Join(root, "cmd", n)); err != nil || !info.IsDir() {
			errs = append(errs, fmt.Errorf("plugin %q: no source in cmd/%s%s; name the folder with its binary by -plugins", n, n, declarative.DidYouMean(n, commands(root))))
		}
		packages = append(packages, "./cmd/"+n)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return nil, fmt.Errorf("plugins: cannot build them: %w; install Go or name the folder with the binaries by -plugins", err)
	}
	cache, err := b.cacheDir(ctx, tool, root)
	if err != nil {
		return nil, err
	}
	unlock, err := lockFolder(cache)
	if err != nil {
		return nil, fmt.Errorf("plugins: cache folder: %w", err)
	}
	defer unlock()
	if b.Log != nil {
		fmt.Fprintf(b.Log, "building %s (the first time this takes a while)\n", strings.Join(names, ", "))
	}
	cmd := exec.CommandContext(ctx, tool, append([]string{"build", "-trimpath", "-buildvcs=false", "-o", cache + string(filepath.Separator)}, packages...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("plugins: go build: %w:\n%s", err, bytes.TrimSpace(out))
	}
	for _, n := range names {
		paths = append(paths, filepath.Join(cache, n))
	}
	return paths, nil
}

// commands are the folders in cmd, for a similar name.
func commands(root string) []string {
	entries, _ := os.ReadDir(filepath.Join(root, "cmd"))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// cacheDir makes the folder for the binaries of one copy of the repository,
// beside Go's own build cache when the user has no cache folder.
func (b Binaries) cacheDir(ctx context.Context, tool, root string) (string, error) {
	base := b.Cache
	if base == "" {
		if dir, err := os.UserCacheDir(); err == nil {
			base = dir
		} else if out, err := exec.CommandContext(ctx, tool, "env", "GOCACHE").Output(); err == nil && len(bytes.TrimSpace(out)) > 0 {
			base = filepath.Dir(string(bytes.TrimSpace(out)))
		} else {
			base = os.TempDir()
		}
	}
	sum := sha256.Sum256([]byte(root))
	dir := filepath.Join(base, "kongdev", hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("plugins: cache folder: %w; name the folder with the binaries by -plugins", err)
	}
	return dir, nil
}

// lockFolder holds the folder's lock file until unlock is called or the
// process ends.
func lockFolder(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		if err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX); !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// shellQuote makes s one word for the shell.
func shellQuote(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,@%+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
