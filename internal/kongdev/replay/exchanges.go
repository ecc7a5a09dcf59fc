package replay

import (
	"fmt"

	"kong-go-plugins/internal/frames"
)

// An exchange is one command of the gateway and what followed, on one connection.
type exchange struct {
	from, to int // frames of the recording: its command, and the last one that belongs to it
	conn     int
	command  frames.Command
	calls    []recordedCall // of an event
	returned bool           // the plugin server came to the end and said so
	cut      bool           // the recording ends before that; what follows is not known
	instance int32          // that it answered with, of StartInstance
}

// A recordedCall is a PDK call with its reply. Where Kong gave none the connection was of no use any more.
type recordedCall struct {
	method      string
	args, reply []byte
	answered    bool
	bodyFile    []byte // what was in the file that the reply names
}

func (e *exchange) String() string {
	return frames.CallText(frames.AppendCall(nil, e.command))
}

// readExchanges finds the exchanges in a recording, in the order in which they began. Errors name the frame, counted
// from 1.
func readExchanges(all []frames.Frame) ([]*exchange, error) {
	var list []*exchange
	open := map[int]*exchange{} // by connection
	started := map[int32]bool{}
	for i, f := range all {
		bad := func(format string, args ...any) error {
			return fmt.Errorf("frame %d: %s on connection %d: %s", i+1, f.Kind, f.Conn, fmt.Sprintf(format, args...))
		}
		e := open[f.Conn]
		var last *recordedCall
		if e != nil {
			e.to = i
			if n := len(e.calls); n > 0 {
				last = &e.calls[n-1]
			}
		}
		switch f.Kind {
		case frames.Connect, frames.Close:
			delete(open, f.Conn)
			continue
		case frames.Call:
			if e != nil {
				return nil, bad("the command before it has no end")
			}
			c, err := frames.ParseCall(f.Payload())
			if err != nil || c.Kind == 0 {
				return nil, bad("it is no command of Kong's")
			}
			if c.Kind == frames.HandleEvent && !started[c.Instance] {
				return nil, bad("instance %d was started before this recording; name the recording that starts it first", c.Instance)
			}
			e = &exchange{from: i, to: i, conn: f.Conn, command: c}
			list, open[f.Conn] = append(list, e), e
			continue
		}
		if e == nil {
			return nil, bad("nothing was asked")
		}
		switch f.Kind {
		case frames.Method:
			e.calls = append(e.calls, recordedCall{method: string(f.Payload())})
		case frames.Args, frames.Reply:
			if last == nil {
				return nil, bad("no call was made")
			}
			if f.Kind == frames.Args {
				last.args = f.Payload()
			} else {
				last.reply, last.answered, last.bodyFile = f.Payload(), true, f.BodyFile
			}
		case frames.RPCReturn:
			r, err := frames.ParseReturn(f.Payload())
			if err != nil {
				return nil, bad("%v", err)
			}
			e.returned, e.instance = true, r.Instance
			if e.command.Kind == frames.StartInstance && r.Started {
				started[r.Instance] = true
			}
			delete(open, f.Conn)
		}
	}
	for _, e := range open {
		e.cut = true
	}
	return list, nil
}
