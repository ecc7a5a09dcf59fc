package cli

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "rewrite what commands are to print")

// TestCommands runs the commands of each txtar file, which stand in its comment behind "$ datakit ", in a folder with its
// other files, and compares what they print and return with the file want.
func TestCommands(t *testing.T) { //nolint:paralleltest // the working folder is the process's
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.Greater(t, len(files), 10)
	for _, file := range files {
		file, err := filepath.Abs(file)
		require.NoError(t, err)
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { runCommands(t, file) })
	}
}

func runCommands(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	want := -1
	for i, f := range archive.Files {
		if f.Name == "want" {
			want = i
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(f.Name), 0o755))
		require.NoError(t, os.WriteFile(f.Name, []byte(strings.ReplaceAll(string(f.Data), "@@ ", "-- ")), 0o600))
	}
	require.GreaterOrEqual(t, want, 0, "a file want, which may be empty with -update")
	var got strings.Builder
	for line := range strings.Lines(string(archive.Comment)) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "$ ")
		if !ok {
			continue
		}
		fmt.Fprintf(&got, "$ %s\n", command)
		name, arguments, _ := strings.Cut(command, " ")
		if name == "cat" {
			text, err := os.ReadFile(arguments)
			require.NoError(t, err)
			got.WriteString(strings.ReplaceAll(string(text), "-- ", "@@ "))
			continue
		}
		var stdout, stderr bytes.Buffer
		status := Run(strings.Fields(arguments), &stdout, &stderr)
		got.Write(stdout.Bytes())
		for line := range strings.Lines(stderr.String()) {
			got.WriteString("stderr: " + line)
		}
		fmt.Fprintf(&got, "exit status %d\n", status)
	}
	if *update {
		archive.Files[want].Data = []byte(got.String())
		require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o644))
		return
	}
	assert.Equal(t, string(archive.Files[want].Data), got.String())
}

// TestExamplesOffline runs every example without a gateway. They are the ones that the plugin's own test sends through one,
// against the same expectations.
func TestExamplesOffline(t *testing.T) {
	t.Parallel()
	cases, err := findCases("../../examples/datakit")
	require.NoError(t, err)
	folders, err := filepath.Glob("../../examples/datakit/*/kong.yml")
	require.NoError(t, err)
	assert.Len(t, cases, len(folders), "every folder is a case")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, c.run("datakit", false).Problems)
		})
	}
}

// TestExamplesAreSound says that no example has a mistake or gives rise to a warning.
func TestExamplesAreSound(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob("../../examples/datakit/*/kong.yml")
	require.NoError(t, err)
	for _, file := range folders {
		found, workflows, err := check(file, "datakit")
		require.NoError(t, err)
		assert.Empty(t, found)
		assert.Equal(t, 1, workflows)
	}
}

// TestRunAsJSON is about the one output that holds times.
func TestRunAsJSON(t *testing.T) {
	t.Parallel()
	dir := "../../examples/datakit/05-combine-two-apis/"
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitGood, Run([]string{"run", dir + "kong.yml", "-o", "json", "-stub", dir + "stubs.yml", "-request", dir + "request.http"}, &stdout, &stderr), stderr.String())
	var got struct {
		Calls    []struct{ Node, URL string }
		Upstream any
		Answer   struct {
			Status int
			Body   string
		}
		Trace struct{ Status string }
	}
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &got))
	require.Len(t, got.Calls, 2)
	assert.Equal(t, "AUTHOR", got.Calls[0].Node)
	assert.Equal(t, "UUID", got.Calls[1].Node)
	assert.Nil(t, got.Upstream)
	assert.Equal(t, 200, got.Answer.Status)
	assert.JSONEq(t, `{"author":"Ada Lovelace","uuid":"3f2504e0-4f89-41d3-9a0c-0305e82c3301"}`, got.Answer.Body)
	assert.Equal(t, "PLAN_COMPLETE", got.Trace.Status)
}

// TestRunLive makes a real call.
func TestRunLive(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "asked for "+r.URL.Path) }))
	defer server.Close()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(dir+"/w.yml", []byte("nodes: [{name: C, type: call, url: '"+server.URL+"/x'}, {name: E, type: exit, inputs: {body: C.body}}]"), 0o600))
	require.NoError(t, os.WriteFile(dir+"/r.http", []byte("GET / HTTP/1.1\n"), 0o600))
	var stdout, stderr bytes.Buffer
	assert.Equal(t, exitBad, Run([]string{"run", dir + "/w.yml", "-request", dir + "/r.http"}, &stdout, &stderr))
	assert.Contains(t, stderr.String(), "no stub answers C")
	stdout.Reset()
	assert.Equal(t, exitGood, Run([]string{"run", "-live", dir + "/w.yml", "-request", dir + "/r.http"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "asked for /x")
}
