package kongdev

import (
	"kong-go-plugins/internal/kongdev/header"
	"kong-go-plugins/internal/kongdev/lua"
)

var responseMethods = map[string]pdkMethod{ // read-only
	"kong.response.get_status": {responsePhases, true, intCall(func(q *request) (int, error) { return q.status, nil })},
	"kong.response.get_header": {responsePhases, true, namedCall(func(q *request, name string) (lua.Value, error) {
		return firstValue(lookup(q.responseTable(defaultMax), name)), nil
	})},
	"kong.response.get_headers": {responsePhases, true, tableCall("max_headers", func(q *request, max int) *lua.Table {
		if q.phase == phaseLog {
			max = defaultMax
		}
		return q.responseTable(max)
	})},
	"kong.response.get_source": {responsePhases, true, textCall(func(q *request) (lua.Value, error) { return q.source(), nil })},
	"kong.response.set_status": {setterPhases, false, func(ev *event, args []byte) ([]byte, error) {
		status, err := intArg(args)
		if err != nil {
			return nil, err
		}
		if err := checkStatus(status); err != nil {
			return nil, err
		}
		ev.req.status = status
		return nil, nil
	}},
	"kong.response.set_header": {setterPhases, false, pairCall(func(q *request, name string, v lua.Value) error {
		values, err := headerValues(name, v, false)
		if err == nil {
			err = checkLength(name, values)
		}
		if err == nil {
			q.setHeader(name, values...)
		}
		return err
	})},
	"kong.response.add_header": {setterPhases, false, pairCall(func(q *request, name string, v lua.Value) error {
		values, err := headerValues(name, v, false)
		if err == nil {
			err = checkLength(name, values)
		}
		if err != nil {
			return err
		}
		for _, s := range values {
			q.addHeader(name, s)
		}
		return nil
	})},
	"kong.response.clear_header": {setterPhases, false, setCall(func(q *request, name string) error {
		q.setHeader(name)
		return nil
	})},
	"kong.response.set_headers": {setterPhases, false, structCall(func(q *request, t *lua.Table) error {
		if err := checkHeaders(t); err != nil {
			return err
		}
		for name, v := range t.Fields {
			values, _ := headerValues(name, v, true)
			if err := checkLength(name, values); err != nil {
				return err
			}
			q.setHeader(name, values...)
		}
		return nil
	})},
	"kong.response.exit": {setterPhases, false, func(ev *event, args []byte) ([]byte, error) {
		a, err := decodeExit(args)
		if err != nil {
			return nil, err
		}
		if err := checkStatus(a.status); err != nil {
			return nil, err
		}
		if a.headers != nil {
			if err := checkHeaders(a.headers); err != nil {
				return nil, err
			}
		}
		ev.req.ctx.exited = true
		return nil, &exitSignal{&kongReply{a.status, a.body, a.headers}}
	}},
}

func checkStatus(status int) error {
	if status < 100 || status > 599 {
		return lua.Raise("code must be a number between 100 and 599")
	}
	return nil
}

func checkHeaders(t *lua.Table) error {
	for name, v := range t.Fields {
		if _, err := headerValues(name, v, true); err != nil {
			return err
		}
	}
	return nil
}

// source is kong.response.get_source.
func (q *request) source() string {
	switch {
	case q.ctx.unexpected:
		return "error"
	case q.ctx.exited:
		return "exit"
	case q.ctx.proxied:
		return "service"
	}
	return "error"
}

// responseTable is ngx.resp.get_headers: nginx adds the connection header
// itself.
func (q *request) responseTable(max int) *lua.Table {
	t := q.response.Table(max)
	t.Fields["connection"] = q.connection()
	return t
}

// shownHeaders are the lines of the same.
func (q *request) shownHeaders(max int) header.List {
	l := append(make(header.List, 0, len(q.response)+1), q.response[:min(max, len(q.response))]...)
	l.Set("Connection", q.connection())
	return l
}

// connection is the header of that name: in log no connection is kept alive any
// more.
func (q *request) connection() string {
	if q.phase == phaseLog || q.in.Close {
		return "close"
	}
	return "keep-alive"
}
