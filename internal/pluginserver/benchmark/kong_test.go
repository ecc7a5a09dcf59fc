package benchmark

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
)

const instanceID = 7

// A kong is one connection's other end. It sends as Kong does: two sends a frame.
type kong struct {
	conn    net.Conn
	r       *bufio.Reader
	event   []byte // encoded call
	answers map[string][]byte
	args    []byte
	trace   func(dir string, frame []byte) // nil, or told of each frame
}

func dial(b *testing.B, p *process, c benchCase) *kong {
	b.Helper()
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		b.Fatal(err)
	}
	return &kong{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), answers: c.answers, event: mustMarshal(&kong_plugin_protocol.RpcCall{
		Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: instanceID, EventName: c.phase()}},
	})}
}

func (k *kong) send(payload []byte) error {
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	if _, err := k.conn.Write(head[:]); err != nil {
		return err
	}
	if k.trace != nil {
		k.trace("in", append(head[:], payload...))
	}
	if len(payload) == 0 {
		return nil
	}
	_, err := k.conn.Write(payload)
	return err
}

func (k *kong) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(k.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if cap(k.args) < n {
		k.args = make([]byte, n)
	}
	k.args = k.args[:n]
	_, err := io.ReadFull(k.r, k.args)
	if k.trace != nil {
		k.trace("out", append(head[:], k.args...))
	}
	return k.args, err
}

// start starts the instance of a case.
func (k *kong) start(config map[string]any) error {
	config["__seq__"] = instanceID
	data, err := json.Marshal(config)
	if err != nil {
		return err
	}
	if err := k.send(mustMarshal(&kong_plugin_protocol.RpcCall{Sequence: 4, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: "bench", Config: data},
	}})); err != nil {
		return err
	}
	p, err := k.read()
	if err != nil {
		return err
	}
	var ret kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(p, &ret); err != nil {
		return err
	}
	if id := ret.GetInstanceStatus().GetInstanceId(); id != instanceID {
		return fmt.Errorf("instance %d, want %d", id, instanceID)
	}
	return nil
}

// run plays one event.
func (k *kong) run() error {
	if err := k.send(k.event); err != nil {
		return err
	}
	for {
		method, err := k.read()
		if err != nil {
			return err
		}
		if len(method) == 0 {
			break
		}
		reply := k.answers[string(method)]
		if _, err := k.read(); err != nil {
			return err
		}
		if err := k.send(reply); err != nil {
			return err
		}
	}
	_, err := k.read()
	return err
}
