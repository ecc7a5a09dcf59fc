package pluginserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCheckOfARunningServer(t *testing.T) {
	r := newRig(t, testHandlers{}, func(c *serverConfig) { c.phases = []string{"access"} })
	var out bytes.Buffer
	require.NoError(t, checkWithin(waitFor, options{name: "test", socket: r.path}, &out))
	assert.Regexp(t, `^test 1\.2\.3 answers on .*/test\.socket \(\d+\.\d ms\)\n$`, out.String())
	assert.ErrorContains(t, checkWithin(waitFor, options{name: "other", socket: r.path}, io.Discard), `answers as plugin "test", not "other"`)
}

func TestCheckNamesCauseAndRemedy(t *testing.T) {
	dir := prefixFolder(t)
	gone := filepath.Join(dir, "gone")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: gone, Net: "unix"})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close())

	// peers are servers of other kinds.
	peers := map[string]func(c net.Conn){
		"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes": func(net.Conn) {},
		"talks":  func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"garbage": func(c net.Conn) {
			_, _ = c.Write(append(binary.LittleEndian.AppendUint32(nil, 3), 255, 255, 255))
			_, _ = io.Copy(io.Discard, c)
		},
		"half": func(c net.Conn) { _, _ = c.Write(append(binary.LittleEndian.AppendUint32(nil, 9), 1)) },
	}
	for name, serve := range peers {
		l, err := net.Listen("unix", filepath.Join(dir, name))
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.ReadFull(c, make([]byte, 10))
				serve(c)
				_ = c.Close()
			}
		}()
		t.Cleanup(func() {
			_ = l.Close()
			<-done
		})
	}
	for _, tc := range []struct{ name, want string }{
		{"none", "there is no socket"},
		{"gone", "nobody listens on"},
		{"gone/demo.socket", "is no folder"},
		{"silent", "does not answer within 1s; the worker hangs"},
		{"closes", "closed the connection without an answer"},
		{"half", "closed the connection without an answer"},
		{"talks", "does not speak Kong's plugin protocol"},
		{"garbage", "does not speak Kong's plugin protocol"},
	} {
		o := options{name: "demo", socket: filepath.Join(dir, tc.name)}
		if tc.name == "silent" { // the one that the limit is for; a busy machine may take longer to connect
			eventually(t, tc.want, func() bool { return strings.Contains(check(o, io.Discard).Error(), tc.want) })
			continue
		}
		assert.ErrorContains(t, checkWithin(waitFor, o, io.Discard), tc.want, tc.name)
	}
	assert.ErrorContains(t, dialError("/k/s", os.ErrPermission), "run this check as the user that runs Kong")
}

func TestCheckWithoutAWorker(t *testing.T) {
	r := newRig(t, testHandlers{}, func(c *serverConfig) { c.policyOnly = true })
	assert.ErrorContains(t, checkWithin(waitFor, options{name: "test", socket: r.path}, io.Discard), "no worker is ready; its log says why")
}
