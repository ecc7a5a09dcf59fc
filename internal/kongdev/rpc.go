package kongdev

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"kong-go-plugins/internal/kongdev/errorlog"
	"kong-go-plugins/internal/kongdev/lua"
)

// An rpc is one worker's line to one plugin server. Its sequence counter is
// Kong's: it counts calls, and a call carries the count plus one.
type rpc struct {
	plugin *plugin
	worker *worker
	pool   *pool
}

// RpcCall's fields.
const (
	fieldStartInstance = 33
	fieldCloseInstance = 35
	fieldHandleEvent   = 36
	fieldStatus        = 33 // of RpcReturn: instance_status
)

// call sends one command and, for an event, serves the PDK calls that the
// plugin makes until it ends. It returns the whole RpcReturn.
//
// Errors: *rpcError is returned by Kong's code, *lua.Error raised, *exitSignal
// is the plugin's own Exit. The connection goes back to the pool only after a
// complete command. Where Kong abandons it until the request ends, it is given
// to ev.req; a connection that failed is closed at once.
func (r *rpc) call(field protowire.Number, command []byte, ev *event) ([]byte, error) {
	seq := r.worker.sequence(r.plugin) + 1
	c, reused, err := r.pool.get()
	if err != nil {
		return nil, err
	}
	msg := protowire.AppendVarint([]byte{0x08}, uint64(seq))
	msg = protowire.AppendBytes(protowire.AppendTag(msg, field, protowire.BytesType), command)
	if err := c.writeFrame("RpcCall", "", msg); err != nil {
		r.pool.drop(c)
		if reused {
			r.worker.gen.gw.log.Printf(errorlog.Info, "[%s] the pooled connection %d had just been closed by the plugin server", r.plugin.Name, c.id)
		}
		return nil, err
	}
	if ev != nil {
		ev.trace.sent(c.id)
		if err := r.serve(c, ev); err != nil {
			if _, socket := err.(*rpcError); socket && !errors.Is(err, errUnknownMethod) && err != errNotImplemented {
				r.pool.drop(c)
			} else {
				ev.abandon(func() { r.pool.drop(c) })
			}
			return nil, err
		}
	}
	msg, err = c.readFrame()
	if err != nil {
		r.pool.drop(c)
		return nil, err
	}
	c.report("RpcReturn", "", false, msg)
	got, status, err := parseReturn(msg)
	reply := append([]byte(nil), status...)
	r.pool.put(c)
	if err != nil {
		return nil, err
	}
	if got != seq {
		return nil, lua.Raise("assertion failed! the plugin server answered sequence %d to call %d", got, seq)
	}
	return reply, nil
}

// errUnknownMethod is a method that Kong's list does not have: Kong logs it and
// answers 500, or, as its text decides, sends the event again when "closed" is
// in the name.
var errUnknownMethod = errors.New("unknown method") // read-only

func unknownMethod(name string) error {
	return &rpcError{text: fmt.Sprintf("method %q not found", name), cause: errUnknownMethod}
}

// serve answers PDK calls until the empty frame that ends the event.
func (r *rpc) serve(c *pluginConn, ev *event) error {
	for {
		ev.together = c.in.Buffered() > 0
		frame, err := c.readFrame()
		if err != nil {
			return err
		}
		if len(frame) == 0 {
			c.report("end_of_event", "", false, nil)
			return nil
		}
		method := string(frame)
		m, known := pdkMethods[method]
		c.report("step_method", method, false, frame)
		args, err := c.readFrame()
		if err != nil {
			return err
		}
		c.report("step_args", method, false, args)
		if !known {
			return unknownMethod(method)
		}
		answered := ev.trace.call(method, args, ev.together)
		reply, err := ev.call(method, m, args)
		if err == nil {
			err = c.writeFrame("step_reply", method, reply)
		}
		answered(reply, err)
		if err != nil {
			return err
		}
	}
}

// parseReturn reads an RpcReturn: its sequence and instance_status.
func parseReturn(msg []byte) (seq int64, status []byte, err error) {
	err = lua.EachField(msg, func(num protowire.Number, typ protowire.Type, n uint64, b []byte) error {
		switch {
		case num == 1 && typ == protowire.VarintType:
			seq = int64(n)
		case num == fieldStatus && typ == protowire.BytesType:
			status = b
		}
		return nil
	})
	return seq, status, err
}

// startInstance starts an instance and returns its id.
func (r *rpc) startInstance(conf *pluginConfig, seq int64) (int32, error) {
	command := appendText(nil, 1, r.plugin.Name)
	command = protowire.AppendBytes(protowire.AppendTag(command, 2, protowire.BytesType), conf.json(seq))
	status, err := r.call(fieldStartInstance, command, nil)
	if err != nil {
		return 0, err
	}
	if status == nil {
		return 0, lua.Raise("attempt to index field 'instance_status' (a nil value): the plugin server answered StartInstance without a status")
	}
	var id int32
	err = lua.EachField(status, func(num protowire.Number, typ protowire.Type, n uint64, _ []byte) error {
		if num == 2 && typ == protowire.VarintType {
			id = int32(n)
		}
		return nil
	})
	r.worker.gen.gw.counters.instances.Add(1)
	return id, err
}

// closeInstance tells the server that an instance is not used any more. Kong
// ignores what comes of it.
func (r *rpc) closeInstance(id int32) {
	_, _ = r.call(fieldCloseInstance, appendInt(nil, 1, int64(id)), nil)
}

func handleEventCommand(id int32, phase string) []byte {
	return appendText(appendInt(nil, 1, int64(id)), 2, phase)
}
