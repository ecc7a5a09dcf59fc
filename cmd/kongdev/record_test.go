package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev/replay"
)

// A body that the gateway keeps in a file is recorded with it, since the file is gone when the recording is played.
func TestRecordBodyFile(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: a}}]\n", 0o600)
	name := filepath.Join(dir, "rec.jsonl")
	writeFile(t, filepath.Join(dir, "body"), strings.Repeat("x", 20000), 0o600)
	code, _, stderr := runCommand(t, "-f", file, "-plugins", builtMoesif(t), "-listen", "127.0.0.1:0", "-admin", "off", "-record", name, "--",
		"sh", "-c", `curl -s --data-binary @`+dir+`/body "$KONGDEV_URL/"`)
	require.Equal(t, 0, code, stderr)
	all, err := readRecording(name)
	require.NoError(t, err)
	found := 0
	for _, f := range all {
		if path := frames.BodyPath(f.Method, f.Payload()); f.Kind == frames.Reply && path != "" {
			found++
			assert.Equal(t, strings.Repeat("x", 20000), string(f.BodyFile))
			assert.NoFileExists(t, path)
		}
	}
	assert.Equal(t, 1, found)
	code, stdout, stderr := runCommand(t, "replay", "-plugin", builtMoesif(t)+"/moesif", name)
	assert.Equal(t, 0, code, stdout+stderr)
}

// A recording that the gateway writes has the form of the recordings, and its bytes are whole.
func TestRecord(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: topsecret, api_endpoint: \"http://collector.kongdev\"}}]\n", 0o600)
	name := filepath.Join(dir, "rec.jsonl")
	args := []string{"-f", file, "-plugins", builtMoesif(t), "-listen", "127.0.0.1:0", "-admin", "off", "-v", "-record", name, "--", "sh", "-c"}
	code, stdout, stderr := runCommand(t, append(args, `curl -s "$KONGDEV_URL/ok?token=topsecret" && exit 7`)...)
	require.Equal(t, 7, code, stderr)
	assert.JSONEq(t, `{"ok":true}`, stdout, "nothing but the command's output")
	assert.Contains(t, stderr, "GET /ok?token=(9 bytes): 200 from the service, ")
	assert.Contains(t, stderr, "└─ log of moesif: ")
	assert.NotContains(t, stderr, "topsecret")

	info, err := os.Stat(name)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm(), "it holds secrets")
	all, err := readRecording(name)
	require.NoError(t, err)
	require.NoError(t, replay.Check(all))
	var events []string
	for _, f := range all {
		assert.True(t, json.Valid(f.Decoded) || f.Decoded == nil)
		if f.Kind == frames.Call {
			c, err := frames.ParseCall(f.Payload())
			require.NoError(t, err)
			events = append(events, c.Event)
			assert.Equal(t, c.Kind == frames.StartInstance, strings.Contains(string(c.Config), "topsecret"))
		}
	}
	assert.Equal(t, []string{"", "access", "response", "log"}, events)

	for range 2 { // a recording is replaced, anything else is not
		code, stdout, stderr = runCommand(t, "replay", "-plugin", builtMoesif(t)+"/moesif", name)
		require.Equal(t, 0, code, stdout+stderr)
		assert.Contains(t, stdout, "1 instance, 3 events, ")
		code, _, stderr = runCommand(t, append(args, "true")...)
		require.Equal(t, 0, code, stderr)
		code, _, _ = runCommand(t, append(args, `curl -s "$KONGDEV_URL/ok"`)...)
		require.Equal(t, 0, code)
	}
	args[len(args)-4] = file
	code, _, stderr = runCommand(t, append(args, "true")...)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "kongdev: record: "+file+" is there and is no recording; remove it or name another file with -record\n")
	args[len(args)-4] = dir + "/none/x"
	_, _, stderr = runCommand(t, append(args, "true")...)
	assert.Contains(t, stderr, "no such file or directory; name a file that can be written with -record\n")
}

// A recording that lacks frames is not passed off as one.
func TestRecordOntoAFullDisk(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), "_format_version: \"3.0\"\nservices: [{name: up, url: \"http://echo.kongdev\", routes: [{paths: [/]}]}]\nplugins: [{name: moesif, config: {application_id: a}}]\n", 0o600)
	code, _, stderr := runCommand(t, "-f", file, "-plugins", builtMoesif(t), "-listen", "127.0.0.1:0", "-admin", "off", "-record", "/dev/full", "--", "sh", "-c", `curl -s "$KONGDEV_URL/ok"`)
	assert.Equal(t, 1, code)
	assert.Contains(t, stderr, "kongdev: while stopping: record /dev/full: the recording is not complete: write /dev/full: no space left on device\n")
}
