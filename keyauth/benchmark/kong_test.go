package benchmark

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"kong-go-plugins/internal/kongdev/kongdevtest"
)

// A kong is one connection's other end. It sends as Kong does, two sends a frame, and dials again when an Exit has burnt
// its connection.
type kong struct {
	socket  string
	conn    net.Conn
	r       *bufio.Reader
	event   []byte // encoded call
	answers map[string][]byte
	args    []byte
}

const instanceID = 7

func (k *kong) dial() error {
	conn, err := net.Dial("unix", k.socket)
	k.conn, k.r = conn, bufio.NewReaderSize(conn, 64<<10)
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
	return k.args, err
}

// start starts the instance.
func (k *kong) start(name string, config map[string]any) (id int32, err error) {
	config["__seq__"] = instanceID
	data, err := json.Marshal(config)
	if err != nil {
		return 0, err
	}
	if err := k.send(mustMarshal(&kong_plugin_protocol.RpcCall{Sequence: 4, Call: &kong_plugin_protocol.RpcCall_CmdStartInstance{
		CmdStartInstance: &kong_plugin_protocol.CmdStartInstance{Name: name, Config: data},
	}})); err != nil {
		return 0, err
	}
	p, err := k.read()
	if err != nil {
		return 0, err
	}
	var ret kong_plugin_protocol.RpcReturn
	err = proto.Unmarshal(p, &ret)
	return ret.GetInstanceStatus().GetInstanceId(), err
}

// use sets the instance that events are for.
func (k *kong) use(id int32) {
	k.event = mustMarshal(&kong_plugin_protocol.RpcCall{Sequence: 5, Call: &kong_plugin_protocol.RpcCall_CmdHandleEvent{
		CmdHandleEvent: &kong_plugin_protocol.CmdHandleEvent{InstanceId: id, EventName: "access"},
	}})
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
			_, err := k.read()
			return err
		}
		reply, known := k.answers[string(method)]
		if !known {
			return fmt.Errorf("a call that is not expected: %s", method)
		}
		exits := string(method) == exitMethod
		if _, err := k.read(); err != nil {
			return err
		}
		if exits { // Kong answers nothing and ends the connection with the request
			_ = k.conn.Close()
			return k.dial()
		}
		if err := k.send(reply); err != nil {
			return err
		}
	}
}

const exitMethod = "kong.response.exit"

func mustMarshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err)
	}
	return b
}

// answersFor are Kong's answers for a request with a key and ten more headers.
func answersFor(key string) map[string][]byte {
	headers := map[string]any{"apikey": key}
	for i := range 10 {
		headers[fmt.Sprintf("x-header-%02d", i)] = fmt.Sprintf("the value of header number %d", i)
	}
	list, err := structpb.NewStruct(headers)
	if err != nil {
		panic(err)
	}
	answers := map[string][]byte{
		"kong.request.get_headers":  mustMarshal(list),
		"kong.nginx.get_var":        mustMarshal(&kong_plugin_protocol.String{V: key}),
		"kong.client.load_consumer": mustMarshal(&kong_plugin_protocol.Consumer{Id: "def4f7d3-9863-5ad2-8fa9-c949bf26f55e", Username: "bob", CreatedAt: 1700000000}),
	}
	for _, setter := range []string{
		"kong.client.authenticate", "kong.service.request.set_headers", "kong.service.request.set_header", "kong.service.request.clear_header",
		"kong.service.set_target", "kong.nginx.set_ctx", exitMethod,
	} {
		answers[setter] = nil
	}
	return answers
}

// A process is a running plugin server.
type process struct {
	cmd    *exec.Cmd
	socket string
}

// startProcess runs this test binary in a role and waits until it listens and, if the server is ours, has a worker: without
// one for two seconds it answers by the plugin's policy.
func startProcess(b *testing.B, role string) *process {
	b.Helper()
	dir, err := os.MkdirTemp("", "kb")
	if err != nil {
		b.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	exe := filepath.Join(dir, role)
	if os.Link(self, exe) != nil {
		data, err := os.ReadFile(self)
		if err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(exe, data, 0o700); err != nil {
			b.Fatal(err)
		}
	}
	p := &process{cmd: exec.Command(exe, "-kong-prefix", dir), socket: filepath.Join(dir, role+".socket")}
	p.cmd.Stderr = io.Discard
	p.cmd.Env = []string{}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		for _, pid := range p.pids() {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = p.cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for {
		c, err := net.Dial("unix", p.socket)
		if err == nil {
			_ = c.Close()
			break
		}
		if ctx.Err() != nil {
			b.Fatalf("%s does not listen: %v", role, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if role == ours || role == ourNoop {
		if err := kongdevtest.WaitWorker(ctx, p.socket, role); err != nil {
			b.Fatal(err)
		}
	}
	return p
}

// pids lists the process and its children: our server's supervisor and worker.
func (p *process) pids() []int {
	pids := []int{p.cmd.Process.Pid}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[0]))
	for _, t := range tasks {
		data, _ := os.ReadFile(t)
		for _, f := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// cpu is the processor time that the server's processes have used.
func (p *process) cpu(b *testing.B) (total time.Duration) {
	for _, pid := range p.pids() {
		var ts unix.Timespec
		const processClock = 2 // CPUCLOCK_SCHED of a process: linux/posix-timers.h
		if err := unix.ClockGettime(int32(^pid<<3|processClock), &ts); err != nil {
			b.Fatalf("cpu time of process %d: %v", pid, err)
		}
		total += time.Duration(ts.Nano())
	}
	return total
}
