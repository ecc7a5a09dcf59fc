// Package replay plays the gateway's side of a recording to a plugin server, and notes what the plugin does otherwise.
package replay

import (
	"bytes"
	"context"
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

// A Player plays recordings to one plugin server. Its fields are set before Play.
//
// The order of the recording is kept as far as the gateway could have seen it: a command is sent when every exchange
// that had ended before it has ended here too; those that overlapped overlap again.
type Player struct {
	Dial    func() (net.Conn, error) // to the plugin server
	Timeout time.Duration            // for each answer of the plugin server
	Exact   bool                     // ids that are new at every run must be equal too
	Logs    bool                     // what the plugin logs must be equal too
	Folder  string                   // for bodies that Kong passes in a file

	mu        sync.Mutex
	conns     map[int]net.Conn
	instances map[int32]int32 // recorded to real
	result    Result
}

// A Result is what came of playing a recording.
type Result struct {
	Differences              []Difference // in the order of the recording
	Instances, Events, Calls int          // that the plugin server saw, or made; log lines only if they are compared
}

// A Difference is one thing that the plugin does otherwise. Its texts hold no secrets.
type Difference struct {
	Frame         int // of the recording, from 1: the command that it belongs to
	Text          string
	Recorded, Now string // arguments; may be empty
}

// Check says why a recording cannot be played: it begins in the middle, or its frames do not go together.
func Check(all []frames.Frame) error {
	_, err := readExchanges(all)
	return err
}

// Play runs a whole recording. The error is what kept it from that; when ctx ends before, it is ctx's.
func (p *Player) Play(ctx context.Context, all []frames.Frame) (Result, error) {
	list, err := readExchanges(all)
	if err != nil {
		return Result{}, err
	}
	p.conns, p.instances, p.result = map[int]net.Conn{}, map[int32]int32{}, Result{}
	defer p.closeAll()
	defer context.AfterFunc(ctx, p.closeAll)() // whoever waits for the plugin server does so no longer
	begins, ends := map[int]*exchange{}, map[int]*exchange{}
	for _, e := range list {
		begins[e.from], ends[e.to] = e, e
	}
	running := map[*exchange]chan struct{}{}
	var failed error
	for i, f := range all {
		if ctx.Err() != nil {
			break
		}
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
	if ctx.Err() != nil {
		return Result{}, ctx.Err()
	}
	sort.SliceStable(p.result.Differences, func(i, j int) bool { return p.result.Differences[i].Frame < p.result.Differences[j].Frame })
	return p.result, failed
}

func (p *Player) connection(number int) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[number]; c != nil {
		return c, nil
	}
	c, err := p.Dial()
	if err == nil {
		p.conns[number] = c
	}
	return c, err
}

func (p *Player) drop(number int, conn net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if conn == nil || p.conns[number] != conn {
		return
	}
	delete(p.conns, number)
	_ = conn.Close()
}

func (p *Player) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
}

func (p *Player) differs(e *exchange, d Difference) {
	d.Frame = e.from + 1
	d.Text = e.String() + ": " + d.Text
	p.mu.Lock()
	defer p.mu.Unlock()
	p.result.Differences = append(p.result.Differences, d)
}

// exchange plays one; false when the connection is of no use any more.
func (p *Player) exchange(conn net.Conn, e *exchange) bool {
	command := e.command
	if command.Kind != frames.StartInstance {
		p.mu.Lock()
		command.Instance = p.instances[command.Instance]
		p.mu.Unlock()
	}
	if err := p.send(conn, frames.AppendCall(nil, command)); err != nil {
		p.differs(e, Difference{Text: "the plugin server does not take it: " + err.Error()})
		return false
	}
	if command.Kind == frames.HandleEvent {
		p.mu.Lock()
		p.result.Events++
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
		p.differs(e, Difference{Text: "the answer is no RpcReturn: " + err.Error()})
		return false
	case r.Sequence != command.Sequence:
		p.differs(e, Difference{Text: fmt.Sprintf("the answer has sequence %d, the call had %d; Kong raises an error", r.Sequence, command.Sequence)})
		return false
	case command.Kind == frames.StartInstance && !r.Started:
		p.differs(e, Difference{Text: "the answer has no instance_status; Kong raises an error"})
		return false
	}
	if !e.returned && !e.cut {
		p.differs(e, Difference{Text: "it comes to its end now; in the recording the connection broke off before"})
	}
	if command.Kind == frames.StartInstance {
		p.mu.Lock()
		p.result.Instances++
		p.instances[e.instance] = r.Instance
		p.mu.Unlock()
	}
	return true
}

// brokeOff notes that the plugin server did not answer, unless it did not in the recording either.
func (p *Player) brokeOff(e *exchange, err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		p.differs(e, Difference{Text: fmt.Sprintf("no answer within %s", p.Timeout)})
	} else if e.returned || e.cut {
		p.differs(e, Difference{Text: "the plugin server closed the connection; Kong would send the event again"})
	}
}

// event answers the plugin's calls as the recording does, until its empty frame. It is false when that did not come, or
// Kong would have stopped reading.
func (p *Player) event(conn net.Conn, e *exchange) bool {
	made := make([]bool, len(e.calls))
	latest := -1 // call of the recording that was made
	for n := 1; ; n++ {
		method, err := p.read(conn)
		if err == nil && len(method) == 0 {
			for i, c := range e.calls {
				if !made[i] && c.args != nil && !p.free(c.method) {
					p.differs(e, Difference{Text: c.method + ": the call is not made any more", Recorded: frames.ArgsText(c.method, c.args)})
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
		name := string(method)
		if !p.free(name) {
			p.mu.Lock()
			p.result.Calls++
			p.mu.Unlock()
		}
		at := p.find(e, made, name, args)
		if p.free(name) && (at < 0 && !e.cut || at >= 0 && e.calls[at].answered) {
			if at >= 0 {
				made[at] = true
			}
			if err := p.send(conn, nil); err != nil {
				p.brokeOff(e, err)
				return false
			}
			continue
		}
		if at < 0 && e.cut {
			return false
		}
		if at < 0 {
			if !p.answerNew(conn, e, name, args) {
				return false
			}
			continue
		}
		made[at] = true
		c := e.calls[at]
		if !p.same(name, c.args, args) {
			p.differs(e, Difference{Text: name + ": the arguments differ", Recorded: frames.ArgsText(name, c.args), Now: frames.ArgsText(name, args)})
		}
		if at < latest {
			p.differs(e, Difference{Text: fmt.Sprintf("%s: the call comes later than recorded, it was call %d and is call %d", name, at+1, n), Recorded: frames.ArgsText(name, c.args)})
		}
		latest = max(latest, at)
		if !c.answered {
			return false // as in the recording: an exit, or a call that Kong refused
		}
		reply, err := p.reply(c)
		if err == nil {
			err = p.send(conn, reply)
		}
		if err != nil {
			p.brokeOff(e, err)
			return false
		}
	}
}

// reply is a call's answer; a body's file is made again, since the recorded one has gone with its request.
func (p *Player) reply(c recordedCall) ([]byte, error) {
	if c.bodyFile == nil {
		return c.reply, nil
	}
	file, err := os.CreateTemp(p.Folder, "body-*")
	if err != nil {
		return nil, err
	}
	_, err = file.Write(c.bodyFile)
	return frames.WithBodyPath(file.Name()), errors.Join(err, file.Close())
}

// free reports whether a call may be there or not: log lines tell of the surroundings, as of a server that is away.
func (p *Player) free(method string) bool {
	switch method {
	case "kong.log.alert", "kong.log.crit", "kong.log.err", "kong.log.warn", "kong.log.notice", "kong.log.info", "kong.log.debug":
		return !p.Logs
	}
	return false
}

// find is the recorded call that answers this one: the same, else one of its method with other arguments; -1 for none.
func (p *Player) find(e *exchange, made []bool, method string, args []byte) int {
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
func (p *Player) answerNew(conn net.Conn, e *exchange, method string, args []byte) bool {
	text := frames.ArgsText(method, args)
	m, known := frames.MethodMessages(method)
	switch {
	case !known:
		p.differs(e, Difference{Text: fmt.Sprintf("%q is no method of Kong's protocol; Kong answers 500", method), Now: text})
		return false
	case m.Reply.Descriptor().FullName() != "google.protobuf.Empty":
		p.differs(e, Difference{Text: method + ": the call is new and the recording has no answer to it; the event is not played further", Now: text})
		return false
	}
	p.differs(e, Difference{Text: method + ": the call is new", Now: text})
	return p.send(conn, nil) == nil
}

var freshID = regexp.MustCompile(`[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}`) // read-only

// same reports whether two calls have the same arguments. Fields may come in any order, and unless Exact is set an id that
// is new at every run is as good as another.
func (p *Player) same(method string, a, b []byte) bool {
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
	if p.Exact {
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

func (p *Player) send(conn net.Conn, payload []byte) error {
	_ = conn.SetDeadline(time.Now().Add(p.Timeout))
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

func (p *Player) read(conn net.Conn) ([]byte, error) {
	_ = conn.SetDeadline(time.Now().Add(p.Timeout))
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
