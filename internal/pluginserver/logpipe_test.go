package pluginserver

import (
	"bytes"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// stuckWriter takes nothing until it is released.
type stuckWriter struct {
	release chan struct{}
	lines
}

func (w *stuckWriter) Write(p []byte) (int, error) {
	<-w.release
	return w.lines.Write(p)
}

func TestLogNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuckWriter{release: make(chan struct{})}
		sink, log := logOptions{}.open(out)
		line := strings.Repeat("x", 1000) + "\n"
		for range 2 * maxQueuedLog / len(line) {
			n, err := io.WriteString(sink, line)
			require.NoError(t, err)
			require.Equal(t, len(line), n)
		}
		dropped := sink.dropped.Load()
		assert.Greater(t, dropped, uint64(900))
		require.Error(t, sink.close(time.Second), "the reader does not read")

		log.Info("after the end")
		assert.Equal(t, dropped+1, sink.dropped.Load())
		close(out.release)
		synctest.Wait()
		assert.Equal(t, 2*maxQueuedLog/len(line)-int(dropped), strings.Count(out.String(), line))
	})
}

func TestLogTellsWhatItDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := &stuckWriter{release: make(chan struct{})}
		sink, log := logOptions{asJSON: true}.open(out)
		_, _ = sink.Write(make([]byte, maxQueuedLog))
		_, _ = sink.Write([]byte("one\ntwo\n"))
		close(out.release)
		synctest.Wait()
		log.Info("goes on")
		require.NoError(t, sink.close(time.Second))
		assert.Contains(t, out.String(), `"lines":2`)
		assert.Contains(t, out.String(), `"msg":"goes on"`)
		assert.Equal(t, 1, strings.Count(out.String(), "log lines dropped, the reader of the output was too slow"))
	})
}

func TestCopyLines(t *testing.T) {
	long := strings.Repeat("y", maxLogLine)
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"nothing", "", nil},
		{"lines", "a\nb\n", []string{"a\n", "b\n"}},
		{"empty line", "\n\n", []string{"\n", "\n"}},
		{"last line without its end", "a\nb", []string{"a\n", "b\n"}},
		{"long line", long + "z\n", []string{long + "\n", "z\n"}},
	} {
		var got []string
		require.NoError(t, copyLines(writerFunc(func(p []byte) { got = append(got, string(p)) }), strings.NewReader(tc.in)), tc.name)
		assert.Equal(t, tc.want, got, tc.name)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

func FuzzCopyLines(f *testing.F) {
	f.Add([]byte("a\n\nb"))
	f.Add(bytes.Repeat([]byte{'x'}, 2*maxLogLine+1))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out []byte
		err := copyLines(writerFunc(func(p []byte) {
			if len(p) == 0 || len(p) > maxLogLine+1 || p[len(p)-1] != '\n' || bytes.Count(p, []byte{'\n'}) != 1 {
				t.Fatalf("not one line: %d bytes", len(p))
			}
			out = append(out, p...)
		}), bytes.NewReader(in))
		require.NoError(t, err)
		strip := func(b []byte) string { return strings.ReplaceAll(string(b), "\n", "") }
		require.Equal(t, strip(in), strip(out), "nothing is lost")
		require.GreaterOrEqual(t, bytes.Count(out, []byte{'\n'}), bytes.Count(in, []byte{'\n'}))
	})
}

func TestParseLogOptions(t *testing.T) {
	for _, tc := range []struct {
		level, format, err string
		want               logOptions
	}{
		{"info", "text", "", logOptions{}},
		{"debug", "json", "", logOptions{level: slog.LevelDebug, asJSON: true}},
		{"warn", "text", "", logOptions{level: slog.LevelWarn}},
		{"error", "text", "", logOptions{level: slog.LevelError}},
		{"loud", "text", `-log-level "loud": expected debug, info, warn or error`, logOptions{}},
		{"info", "xml", `-log-format "xml": expected text or json`, logOptions{}},
	} {
		got, err := parseLogOptions(tc.level, tc.format)
		if tc.err != "" {
			assert.EqualError(t, err, tc.err)
			continue
		}
		require.NoError(t, err)
		assert.Equal(t, tc.want, got)
	}
}
