package external

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeScript makes an executable at dir/name.
func writeScript(t *testing.T, dir, name, script string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755)) // it is run
	return path
}

func TestServersFromAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "it's a folder")
	path := writeScript(t, dir, "moesif", "exit 0\n")
	servers, err := Binaries{Dir: dir, Prefix: "/tmp/p q", Flags: []string{"-log-level", "debug"}}.Servers(t.Context(), []string{"key-auth", "moesif"})
	require.NoError(t, err)
	quoted := "'" + filepath.Dir(dir) + `/it'\''s a folder/moesif'`
	assert.Equal(t, []Server{{
		Name:     "moesif",
		Socket:   "/tmp/p q/moesif.socket",
		QueryCmd: quoted + " -dump",
		StartCmd: quoted + " -kong-prefix '/tmp/p q' -log-level debug",
		GraphCmd: quoted + " graph -format json -",
	}}, servers)
	require.NoError(t, exec.CommandContext(t.Context(), "sh", "-c", servers[0].QueryCmd).Run(), "a shell understands it")
	assert.FileExists(t, path)

	servers, err = Binaries{Dir: dir, Prefix: "/p", Words: map[string]string{"moesif": ` -phases access,log -x 'a b' `}}.Servers(t.Context(), []string{"moesif"})
	require.NoError(t, err)
	assert.Equal(t, []string{quoted + " -phases access,log -x 'a b' -dump", quoted + " -phases access,log -x 'a b' -kong-prefix /p"},
		[]string{servers[0].QueryCmd, servers[0].StartCmd})
	_, err = Binaries{Dir: dir, Words: map[string]string{"moesi": "-x"}}.Servers(t.Context(), []string{"moesif"})
	require.EqualError(t, err, `plugin "moesi": it gets flags, and nothing configures it (did you mean "moesif"?)`)

	servers, err = Binaries{Dir: dir}.Servers(t.Context(), nil)
	require.NoError(t, err)
	assert.Empty(t, servers)
}

func TestServersNameWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	writeScript(t, dir, "moesif", "")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "plain"), nil, 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "folder"), 0o700))

	_, err := Binaries{Dir: dir}.Servers(t.Context(), []string{"moesf", "plain", "folder", "moesif"})
	require.Error(t, err)
	assert.Contains(t, err.Error(), `plugin "moesf": no binary `+dir+`/moesf (did you mean "moesif"?); build it there`)
	assert.Contains(t, err.Error(), `plugin "plain": `+dir+`/plain is no executable file; make it one with chmod +x`)
	assert.Contains(t, err.Error(), `plugin "folder": `+dir+`/folder is no executable file`)
	assert.NotContains(t, err.Error(), `plugin "moesif"`)

	_, err = Binaries{Dir: filepath.Join(dir, "nowhere")}.Servers(t.Context(), []string{"moesif"})
	assert.ErrorContains(t, err, "no such file or directory; name the folder with the plugin binaries by -plugins")

	for _, evil := range []string{"../x", "a/b", "-dump", "a b", "a;b", ".", ""} {
		_, err = Binaries{Dir: dir}.Servers(t.Context(), []string{evil})
		assert.ErrorContains(t, err, "no binary can have this name", evil)
	}
}

// module writes a tiny copy of a repository with one plugin.
func module(t *testing.T, source string) string {
	t.Helper()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "cmd", "tiny"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "go.mod"), []byte("module "+modulePath+"\n\ngo 1.24\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "cmd", "tiny", "main.go"), []byte(source), 0o600))
	return root
}

func TestServersBuildFromSource(t *testing.T) {
	root := module(t, "package main\nfunc main() { println(\"hello\") }\n")
	require.NoError(t, os.Mkdir(filepath.Join(root, ".git"), 0o755)) // git does not like it, as it does a clone of somebody else's
	t.Setenv("GOFLAGS", "-buildvcs=auto")
	var log bytes.Buffer
	b := Binaries{Source: filepath.Join(root, "cmd"), Cache: t.TempDir(), Prefix: "/p", Log: &log}
	servers, err := b.Servers(t.Context(), []string{"tiny"})
	require.NoError(t, err)
	assert.Equal(t, "building tiny (the first time this takes a while)\n", log.String())
	out, err := exec.CommandContext(t.Context(), "sh", "-c", servers[0].StartCmd).CombinedOutput()
	require.NoError(t, err)
	assert.Equal(t, "hello\n", string(out))

	_, err = b.Servers(t.Context(), []string{"tinny"})
	assert.EqualError(t, err, `plugin "tinny": no source in cmd/tinny (did you mean "tiny"?); name the folder with its binary by -plugins`)

	broken := module(t, "package main\nfunc main() { nonsense }\n")
	_, err = Binaries{Source: broken, Cache: t.TempDir()}.Servers(t.Context(), []string{"tiny"})
	assert.ErrorContains(t, err, "go build: exit status 1")
	assert.ErrorContains(t, err, "undefined: nonsense")

	_, err = Binaries{Source: t.TempDir()}.Servers(t.Context(), []string{"tiny"})
	assert.ErrorContains(t, err, "name the folder with the plugin binaries by -plugins, or run kongdev inside the repository")
}

func TestServersWithoutAGoTool(t *testing.T) {
	root := module(t, "package main\nfunc main() {}\n")
	t.Setenv("PATH", t.TempDir())
	_, err := Binaries{Source: root, Cache: t.TempDir()}.Servers(t.Context(), []string{"tiny"})
	assert.ErrorContains(t, err, "cannot build them")
	assert.ErrorContains(t, err, "install Go or name the folder with the binaries by -plugins")
}

func TestServersCacheFolderCannotBeMade(t *testing.T) {
	root := module(t, "package main\nfunc main() {}\n")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := Binaries{Source: root, Cache: file}.Servers(t.Context(), []string{"tiny"})
	assert.ErrorContains(t, err, "cache folder")
	assert.ErrorContains(t, err, "name the folder with the binaries by -plugins")
}

func TestLockFolderHoldsOthersBack(t *testing.T) {
	dir := t.TempDir()
	unlock, err := lockFolder(dir)
	require.NoError(t, err)
	second := make(chan struct{})
	go func() {
		defer close(second)
		unlock2, err := lockFolder(dir)
		if assert.NoError(t, err) {
			unlock2()
		}
	}()
	select {
	case <-second:
		t.Error("two held the lock")
	default:
	}
	unlock()
	select {
	case <-second:
	case <-time.After(time.Minute):
		t.Fatal("the lock was not given on")
	}
}

func TestShellQuote(t *testing.T) {
	for in, want := range map[string]string{"": "''", "/a/b-c_1.2": "/a/b-c_1.2", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		assert.Equal(t, want, shellQuote(in))
	}
}
