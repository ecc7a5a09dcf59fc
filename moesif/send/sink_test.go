package send

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckSink(t *testing.T) {
	for endpoint, want := range map[string]string{
		"stdout:": "stdout:", "file:///tmp/e.ndjson": "file:///tmp/e.ndjson", "file:///tmp//x/../a%20b": "file:///tmp/a%20b", "FILE:///e": "file:///e",
	} {
		got, ok, err := CheckSink(endpoint)
		require.NoError(t, err, endpoint)
		assert.True(t, ok, endpoint)
		assert.Equal(t, want, got)
	}
	for endpoint, want := range map[string]string{
		"stdout:x": "nothing behind", "stdout://x": "nothing behind", "file://host/x": "absolute path", "file:x": "absolute path", "file://": "absolute path",
		"file:///tmp/": "names a folder", "file:///e?x": "absolute path",
	} {
		_, ok, err := CheckSink(endpoint)
		assert.True(t, ok, endpoint)
		assert.ErrorContains(t, err, want, endpoint)
	}
	for _, endpoint := range []string{"https://api.moesif.net", "http://file/x", "::"} {
		_, ok, err := CheckSink(endpoint)
		assert.False(t, ok, endpoint)
		assert.NoError(t, err)
	}
}

// A dry run into a file: each event is a line, for nobody else to read, and a file that is moved away is begun anew.
func TestFileSink(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "events of a day.ndjson")
	read := func(path string) []string {
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		return strings.Split(string(data), "\n")
	}
	u := newSender(Settings{Endpoint: "file://" + strings.ReplaceAll(path, " ", "%20")}, quietEnv())
	require.Equal(t, outcome{class: sent}, u.upload(t.Context(), testEvents(2)))
	require.Equal(t, outcome{class: sent}, u.upload(t.Context(), testEvents(1)))
	assert.Equal(t, []string{`{"n":0}`, `{"n":1}`, `{"n":0}`, ""}, read(path))
	info, err := os.Stat(path)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, os.Rename(path, path+".1"))
	require.Equal(t, outcome{class: sent}, u.upload(t.Context(), testEvents(1)))
	assert.Equal(t, []string{`{"n":0}`, ""}, read(path))
	require.NoError(t, os.Remove(path))
	u.close()
	require.Equal(t, outcome{class: sent}, u.upload(t.Context(), testEvents(1)))
	assert.Equal(t, []string{`{"n":0}`, ""}, read(path))
	u.close()

	o := newSender(Settings{Endpoint: "file://" + folder + "/absent/e"}, quietEnv()).upload(t.Context(), testEvents(1))
	assert.Equal(t, retry, o.class)
	assert.Equal(t, "cannot be written: open "+folder+"/absent/e: no such file or directory", o.why())
}

// A full disk: the half line that was written does not spoil the next.
func TestATornLine(t *testing.T) {
	w := &shortWriter{room: 12}
	l := &lines{open: func() (io.Writer, error) { return w, nil }}
	assert.Equal(t, "cannot be written: no space", l.upload(t.Context(), testEvents(3)).why())
	w.room = 1000
	assert.Equal(t, sent, l.upload(t.Context(), testEvents(3)).class)
	assert.Equal(t, "{\"n\":0}\n{\"n\"\n{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n", string(w.data))
}

type shortWriter struct {
	data []byte
	room int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.data, w.room = append(w.data, p[:n]...), w.room-n
	if n < len(p) {
		return n, errors.New("no space")
	}
	return n, nil
}

// The queue goes on where the disk has room again.
func TestQueueIntoAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sub", "e")
	set := quickUpload()
	set.Endpoint = "file://" + path
	said := make(chan string, 100)
	q := NewQueue(set, Env{Metrics: NewMetrics(), Notice: func(_, text string) { said <- text }})
	q.Add([]byte("{}"))
	assert.Contains(t, <-said, "cannot be written: open "+path)
	require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
	require.Eventually(t, func() bool { data, _ := os.ReadFile(path); return string(data) == "{}\n" }, time.Minute, 10*time.Millisecond)
	assert.Zero(t, q.Close(t.Context()))
}
