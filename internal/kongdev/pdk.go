package kongdev

import (
	"maps"

	"kong-go-plugins/internal/kongdev/lua"
)

// A pdkMethod is one call that plugins can make. phases is Kong's own check;
// inLog tells which calls work in the log phase, where nginx's request is gone
// and Kong answers from what it saved. A nil call is not in kongdev yet.
type pdkMethod struct {
	phases phase
	inLog  bool
	call   func(ev *event, args []byte) (reply []byte, err error)
}

// Sets of phases that Kong's functions check.
const (
	requestPhases  = phaseRewrite | phaseAccess | phaseBalancer | phaseResponse | phaseHeader | phaseBody | phaseLog | phaseError | phaseAdmin | phaseCluster
	beforeContent  = phaseRewrite | phaseAccess | phaseResponse | phaseError | phaseAdmin
	authAndLater   = phaseAccess | phaseHeader | phaseResponse | phaseBody | phaseLog
	responsePhases = phaseResponse | phaseHeader | phaseBody | phaseLog | phaseError | phaseAdmin
	setterPhases   = phaseRewrite | phaseAccess | phaseResponse | phaseBalancer | phaseHeader | phaseError | phaseAdmin
	upstreamPhases = phaseRewrite | phaseAccess
	balancerPhases = phaseRewrite | phaseAccess | phaseBalancer
	targetPhases   = phaseRewrite | phaseAccess | phaseBalancer | phasePreread
	contextPhases  = phaseRewrite | phaseAccess | phaseHeader | phaseResponse | phaseBody | phaseLog
	servicePhases  = phaseResponse | phaseHeader | phaseBody | phaseLog
)

// pdkMethods is every method of Kong 3.9's plugin protocol.
var pdkMethods = allMethods() // read-only

func allMethods() map[string]pdkMethod {
	all := map[string]pdkMethod{}
	for _, module := range []map[string]pdkMethod{clientMethods, contextMethods, logMethods, nodeMethods, requestMethods, responseMethods, upstreamMethods} {
		maps.Copy(all, module)
	}
	return all
}

// The usual shapes of a call.

func textCall(f func(q *request) (lua.Value, error)) func(*event, []byte) ([]byte, error) {
	return func(ev *event, _ []byte) ([]byte, error) {
		v, err := f(ev.req)
		if err != nil {
			return nil, err
		}
		return encodeText(v)
	}
}

func intCall(f func(q *request) (int, error)) func(*event, []byte) ([]byte, error) {
	return func(ev *event, _ []byte) ([]byte, error) {
		n, err := f(ev.req)
		if err != nil {
			return nil, err
		}
		return encodeInt(n), nil
	}
}

// namedCall takes a String and answers with a text.
func namedCall(f func(q *request, name string) (lua.Value, error)) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		name, err := textArg(args)
		if err != nil {
			return nil, err
		}
		v, err := f(ev.req, name)
		if err != nil {
			return nil, err
		}
		return encodeText(v)
	}
}

// tableCall takes an Int, the most entries to return, and answers with a Struct.
func tableCall(what string, f func(q *request, max int) *lua.Table) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		max, err := intArg(args)
		if err != nil {
			return nil, err
		}
		if ev.req.phase != phaseLog { // there the saved table is returned as it is
			if max < 1 {
				return nil, lua.Raise("%s must be >= 1", what)
			}
			if max > 1000 {
				return nil, lua.Raise("%s must be <= 1000", what)
			}
		}
		return lua.AppendStruct(nil, f(ev.req, max)), nil
	}
}

// setCall takes a String and answers nothing.
func setCall(f func(q *request, s string) error) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		s, err := textArg(args)
		if err != nil {
			return nil, err
		}
		return nil, f(ev.req, s)
	}
}

// pairCall takes a KV and answers nothing.
func pairCall(f func(q *request, key string, v lua.Value) error) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		key, v, err := pairArg(args)
		if err != nil {
			return nil, err
		}
		return nil, f(ev.req, key, v)
	}
}

// structCall takes a Struct and answers nothing.
func structCall(f func(q *request, t *lua.Table) error) func(*event, []byte) ([]byte, error) {
	return func(ev *event, args []byte) ([]byte, error) {
		t, err := lua.DecodeStruct(args)
		if err != nil {
			return nil, err
		}
		return nil, f(ev.req, t)
	}
}
