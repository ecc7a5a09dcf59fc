package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"sort"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/frames"
)

// A player plays the gateway's side of a recording to a plugin server and notes what the plugin does otherwise.
//
// The order of the recording is kept as far as the gateway could have seen it: a command is sent when every exchange
// that had ended before it has ended here too; those that overlapped overlap again.
type player struct {
	dial    func() (net.Conn, error)
	timeout time.Duration // for each answer of the plugin server
	exact   bool          // ids that are new at every run must be equal too

	mu          sync.Mutex
	conns       map[int]net.Conn
	instances   map[int32]int32 // recorded to real
	differences []difference
	counts      struct{ instances, events, calls int }
}

// A difference is one thing that the plugin does otherwise. recorded and now may be empty.
type difference struct {
	frame         int // of the recording, from 1
	text          string
	recorded, now string
}

// play runs the whole recording. The error is what kept it from that.
func (p *player) play(all []frames.Frame) error {
	list, err := readExchanges(all)
	if err != nil {
		return err
	}
	p.conns, p.instances = map[int]net.Conn{}, map[int32]int32{}
	defer p.closeAll()
	begins, ends := map[int]*exchange{}, map[int]*exchange{}
	for _, e := range list {
		begins[e.from], ends[e.to] = e, e
	}
	running := map[*exchange]chan struct{}{}
	var failed error
	for i, f := range all {
		if e := begins[i]; e != nil {
			conn, err := p.connection(e.conn)
			if err != nil {
				failed = err
				break
			}
			done := make(chan struct{})
			running[e] = done
			go func() {
				defer close(done)
				if !p.exchange(conn, e) {
					p.drop(e.conn, conn)
				}
			}()
		}
		if e := ends[i]; e != nil && running[e] != nil {
			<-running[e]
			delete(running, e)
		}
		if f.Kind == frames.Connect || f.Kind == frames.Close {
			p.mu.Lock()
			conn := p.conns[f.Conn]
			p.mu.Unlock()
			p.drop(f.Conn, conn)
		}
	}
	for _, done := range running {
		<-done
	}
	sort.SliceStable(p.differences, func(i, j int) bool { return p.differences[i].frame < p.differences[j].frame })
	return failed
}

func (p *player) connection(number int) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[number]; c != nil {
		return c, nil
	}
	c, err := p.dial()
	if err == nil {
		p.conns[number] = c
	}
	return c, err
}

func (p *player) drop(number int, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn == nil || p.conns[number] != conn {
		return
	}
	delete(p.conns, number)
	_ = conn.Close()
}

func (p *player) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *player) differs(e *exchange, d difference) {
	d.frame = e.from + 1
	d.text = e.String() + ": " + d.text
	p.mu.Lock()
	defer p.mu.Unlock()
	p.differences = append(p.differences, d)
}

// exchange plays one; false when the connection is of no use any more.
func (p *player) exchange(conn net.Conn, e *exchange) bool {
	command := e.command
	if command.Kind != frames.StartInstance {
		p.mu.Lock()
		command.Instance = p.instances[command.Instance]
		p.mu.Unlock()
	}
	if err := p.send(conn, frames.AppendCall(nil, command)); err != nil {
		p.differs(e, difference{text: "the plugin server does not take it: " + err.Error()})
		return false
	}
	if command.Kind == frames.HandleEvent {
		p.mu.Lock()
		p.counts.events++
		p.mu.Unlock()
		if goOn := p.event(conn, e); !goOn {
			return false
		}
	}
	payload, err := p.read(conn)
	if err != nil {
		p.brokeOff(e, err)
		return false
	}
	r, err := frames.ParseReturn(payload)
	switch {
	case err != nil:
		p.differs(e, difference{text: "the answer is no RpcReturn: " + err.Error()})
		return false
	case r.Sequence != command.Sequence:
		p.differs(e, difference{text: fmt.Sprintf("the answer has sequence %d, the call had %d; Kong raises an error", r.Sequence, command.Sequence)})
		return false
	case command.Kind == frames.StartInstance && !r.Started:
		p.differs(e, difference{text: "the answer has no instance_status; Kong raises an error"})
		return false
	}
	if !e.returned {
		p.differs(e, difference{text: "it comes to its end now; in the recording the connection broke off before"})
	}
	if command.Kind == frames.StartInstance {
		p.mu.Lock()
		p.counts.instances++
		p.instances[e.instance] = r.Instance
		p.mu.Unlock()
	}
	return true
}

// brokeOff notes that the plugin server did not answer, unless it did not in the recording either.
func (p *player) brokeOff(e *exchange, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.differs(e, difference{text: fmt.Sprintf("no answer within %s", p.timeout)})
	} else if e.returned {
		p.differs(e, difference{text: "the plugin server closed the connection; Kong would send the event again"})
	}
}

// event answers the plugin's calls as the recording does, until its empty frame. It is false when that did not come, or
// Kong would have stopped reading.
func (p *player) event(conn net.Conn, e *exchange) bool {
	made := make([]bool, len(e.calls))
	latest := -1 // call of the recording that was made
	for n := 1; ; n++ {
		method, err := p.read(conn)
		if err == nil && len(method) == 0 {
			for i, c := range e.calls {
				if !made[i] && c.args != nil {
					p.differs(e, difference{text: c.method + ": the call is not made any more", recorded: frames.ArgsText(c.method, c.args)})
				}
			}
			return true
		}
		var args []byte
		if err == nil {
			method = bytes.Clone(method)
			args, err = p.read(conn)
		}
		if err != nil {
			p.brokeOff(e, err)
			return false
		}
		p.mu.Lock()
		p.counts.calls++
		p.mu.Unlock()
		name := string(method)
		at := p.find(e, made, name, args)
		if at < 0 {
			if !p.answerNew(conn, e, name, args) {
				return false
			}
			continue
		}
		made[at] = true
		c := e.calls[at]
		if !p.same(name, c.args, args) {
			p.differs(e, difference{text: name + ": the arguments differ", recorded: frames.ArgsText(name, c.args), now: frames.ArgsText(name, args)})
		}
		if at < latest {
			p.differs(e, difference{text: fmt.Sprintf("%s: the call comes later than recorded, it was call %d and is call %d", name, at+1, n), recorded: frames.ArgsText(name, c.args)})
		}
		latest = max(latest, at)
		if !c.answered {
			return false // as in the recording: an exit, or a call that Kong refused
		}
		if err := p.send(conn, c.reply); err != nil {
			p.brokeOff(e, err)
			return false
		}
	}
}

// find is the recorded call that answers this one: the same, else one of its method with other arguments; -1 for none.
func (p *player) find(e *exchange, made []bool, method string, args []byte) int {
	found := -1
	for i, c := range e.calls {
		switch {
		case made[i] || c.method != method || c.args == nil:
		case p.same(method, c.args, args):
			return i
		case found < 0:
			found = i
		}
	}
	return found
}

// answerNew answers a call that the recording does not have, if that is possible.
func (p *player) answerNew(conn net.Conn, e *exchange, method string, args []byte) bool {
	text := frames.ArgsText(method, args)
	m, known := frames.MethodMessages(method)
	switch {
	case !known:
		p.differs(e, difference{text: fmt.Sprintf("%q is no method of Kong's protocol; Kong answers 500", method), now: text})
		return false
	case m.Reply.Descriptor().FullName() != "google.protobuf.Empty":
		p.differs(e, difference{text: method + ": the call is new and the recording has no answer to it; the event is not played further", now: text})
		return false
	}
	p.differs(e, difference{text: method + ": the call is new", now: text})
	return p.send(conn, nil) == nil
}

var freshID = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}`) // read-only

// same reports whether two calls have the same arguments. Fields may come in any order, and unless exact is set an id that
// is new at every run is as good as another.
func (p *player) same(method string, a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	m, known := frames.MethodMessages(method)
	if !known {
		return false
	}
	x, y := m.Args.New().Interface(), m.Args.New().Interface()
	if proto.Unmarshal(a, x) != nil || proto.Unmarshal(b, y) != nil {
		return false
	}
	if proto.Equal(x, y) {
		return true
	}
	if p.exact {
		return false
	}
	for _, message := range []proto.Message{x, y} {
		text, err := protojson.Marshal(message)
		if err != nil || protojson.Unmarshal(freshID.ReplaceAll(text, []byte("ID")), message) != nil {
			return false
		}
	}
	return proto.Equal(x, y)
}

func (p *player) send(conn net.Conn, payload []byte) error {
	_ = conn.SetDeadline(time.Now().Add(p.timeout))
	wire := frames.AppendWire(nil, payload)
	if _, err := conn.Write(wire[:4]); err != nil { // Kong sends head and body by themselves
		return err
	}
	if len(payload) == 0 {
		return nil
	}
	_, err := conn.Write(wire[4:])
	return err
}

func (p *player) read(conn net.Conn) ([]byte, error) {
	_ = conn.SetDeadline(time.Now().Add(p.timeout))
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return nil, err
	}
	var body bytes.Buffer // grows only as bytes arrive
	size := int64(binary.LittleEndian.Uint32(head[:]))
	if _, err := io.CopyN(&body, conn, size); err != nil {
		return nil, err
	}
	return body.Bytes(), nil
}
