package benchmark

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
)

const instanceID = 7

// A kong is the gateway's end of one connection, with nothing behind it: it sends events and gives every call the same
// answer, whatever its arguments. It sends as Kong does, a frame in two writes.
type kong struct {
	conn  net.Conn
	r     *bufio.Reader
	frame []byte
}

// access is the encoded call that runs the access phase.
var access = encoded(&kong_plugin_protocol.RpcCall{
	Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: instanceID, EventName: "access"}},
})

// answers are those to calls that read; setters are answered with nothing.
var answers = map[string][]byte{ // read-only
	"kong.request.get_raw_query": encoded(&kong_plugin_protocol.String{V: "q=1"}),
	"kong.nginx.get_ctx":         encoded(structpb.NewNullValue()),
	"kong.nginx.get_var":         nil,
}

func dial(p *process) (*kong, error) {
	conn, err := net.Dial("unix", p.socket)
	if err != nil {
		return nil, err
	}
	return &kong{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}, nil
}

// start starts the instance whose events run sends.
func (k *kong) start(p *process, config string) error {
	var c map[string]any
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return err
	}
	c["__seq__"], c["__plugin_id"] = instanceID, "00000000-0000-4000-8000-000000000000"
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if err := k.send(encoded(&kong_plugin_protocol.RpcCall{Sequence: 4, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: p.name, Config: data},
	}})); err != nil {
		return err
	}
	answer, err := k.read()
	if err != nil {
		return err
	}
	var ret kong_plugin_protocol.RpcReturn
	if err := proto.Unmarshal(answer, &ret); err != nil {
		return err
	}
	if id := ret.GetInstanceStatus().GetInstanceId(); id != instanceID {
		return fmt.Errorf("instance %d, want %d", id, instanceID)
	}
	return nil
}

// run plays one event and returns the names of the calls that the plugin has made.
func (k *kong) run(calls map[string]int) error {
	if err := k.send(access); err != nil {
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
		answer := answers[string(method)]
		if string(method) == "kong.response.exit" {
			return fmt.Errorf("the plugin has answered the request itself")
		}
		if calls != nil {
			calls[string(method)]++
		}
		if _, err := k.read(); err != nil {
			return err
		}
		if err := k.send(answer); err != nil {
			return err
		}
	}
	_, err := k.read()
	return err
}

func (k *kong) send(payload []byte) error {
	var head [4]byte
	binary.LittleEndian.PutUint32(head[:], uint32(len(payload)))
	if _, err := k.conn.Write(head[:]); err != nil || len(payload) == 0 {
		return err
	}
	_, err := k.conn.Write(payload)
	return err
}

// read returns the next frame; it holds until the next read.
func (k *kong) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(k.r, head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if cap(k.frame) < n {
		k.frame = make([]byte, n)
	}
	k.frame = k.frame[:n]
	_, err := io.ReadFull(k.r, k.frame)
	return k.frame, err
}

func encoded(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}
