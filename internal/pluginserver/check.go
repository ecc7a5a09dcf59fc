package pluginserver

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

const (
	checkTime     = time.Second // for the whole check
	maxCheckReply = 16 << 20    // bytes; the answer holds the schema
)

// check asks the plugin server at the socket who it is, as a liveness probe. The error names cause and remedy.
func check(o options, w io.Writer) error { return checkWithin(checkTime, o, w) }

func checkWithin(limit time.Duration, o options, w io.Writer) error {
	begin := time.Now()
	info, err := askInfo(o.socket, o.name, begin.Add(limit))
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if info.GetName() != o.name {
		return fmt.Errorf("check: %s answers as plugin %q, not %q; give the server its own socket, or this check the server's -name", o.socket, info.GetName(), o.name)
	}
	if len(info.GetPhases()) == 0 {
		return fmt.Errorf("check: %s answers, but only by the plugin's policy, because no worker is ready; its log says why", o.socket)
	}
	_, err = fmt.Fprintf(w, "%s %s answers on %s (%.1f ms)\n", info.GetName(), info.GetVersion(), o.socket, float64(time.Since(begin).Microseconds())/1000)
	return err
}

// askInfo makes one call cmd_get_plugin_info.
func askInfo(socket, name string, deadline time.Time) (*kong_plugin_protocol.PluginInfo, error) {
	if err := checkSocketPath(socket, ""); err != nil {
		return nil, err
	}
	d := net.Dialer{Deadline: deadline}
	c, err := d.Dial("unix", socket)
	if err != nil {
		return nil, dialError(socket, err)
	}
	defer c.Close()
	if err := c.SetDeadline(deadline); err != nil {
		return nil, err
	}
	call := &kong_plugin_protocol.RpcCall{Sequence: 1, Call: &kong_plugin_protocol.RpcCall_CmdGetPluginInfo{
		CmdGetPluginInfo: &kong_plugin_protocol.CmdGetPluginInfo{Name: name}}}
	body, err := proto.Marshal(call)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
		return nil, replyError(socket, err)
	}
	var head [4]byte
	if _, err := io.ReadFull(c, head[:]); err != nil {
		return nil, replyError(socket, err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxCheckReply {
		return nil, notOurs(socket)
	}
	reply := make([]byte, n)
	if _, err := io.ReadFull(c, reply); err != nil {
		return nil, replyError(socket, err)
	}
	var ret kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(reply, &ret); err != nil || ret.GetSequence() != call.GetSequence() || ret.GetPluginInfo() == nil {
		return nil, notOurs(socket)
	}
	return ret.GetPluginInfo(), nil
}

func notOurs(socket string) error {
	return fmt.Errorf("what listens on %s does not speak Kong's plugin protocol; find out with: ss -xlp", socket)
}

func dialError(socket string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no socket %s; start the plugin server, or give this check the same -kong-prefix and -name", socket)
	case errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("a part of %s is no folder; give this check the server's -kong-prefix", socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("nobody listens on %s, its process has ended; Kong's log says why it was not started again", socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("user %d may not use %s; run this check as the user that runs Kong", os.Geteuid(), socket)
	case errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, syscall.EAGAIN):
		return fmt.Errorf("%s takes no connection, its backlog is full; the process hangs: restart it", socket)
	}
	return fmt.Errorf("%s: %w", socket, err)
}

func replyError(socket string, err error) error {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%s takes connections but does not answer within %v; the worker hangs: its log says more, a HUP to the process replaces it", socket, checkTime)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("%s closed the connection without an answer; its worker has just died, or it is another kind of server: its log says more", socket)
	}
	return fmt.Errorf("%s: %w", socket, err)
}
