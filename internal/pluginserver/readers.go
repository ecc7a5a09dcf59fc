package pluginserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/Kong/go-pdk"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The readers below ask Kong the same questions as the PDK's own methods and decode the answers without generic protobuf
// objects and without failing on bytes that are not UTF-8, which clients may send in any header or query. Under
// go-pdk's own server they work too, a little slower.

// askRaw asks one question and returns the encoded answer; it holds until the next call.
func askRaw(kong *pdk.PDK, q Question) ([]byte, error) {
	p, _, err := askOwn(kong, q, false)
	return p, err
}

// askOwn is askRaw; own says that the answer is the caller's for good, which with once it mostly is.
func askOwn(kong *pdk.PDK, q Question, once bool) (answer []byte, own bool, err error) {
	if e := eventOf(kong); e != nil {
		return e.ask(q.method, q.args, once)
	}
	// An empty message carries any encoded arguments as unknown fields, and takes any answer.
	args, out := new(emptypb.Empty), new(emptypb.Empty)
	args.ProtoReflect().SetUnknown(q.args)
	if err := kong.Request.Ask(q.method.name, args, out); err != nil {
		return nil, false, fmt.Errorf("%s: %w", q.method.name, err)
	}
	return out.ProtoReflect().GetUnknown(), true, nil
}

var errAnswer = errors.New("kong's answer cannot be decoded")

// askText asks a question whose answer is a String.
func askText(kong *pdk.PDK, q Question) ([]byte, error) {
	msg, err := askRaw(kong, q)
	if err != nil {
		return nil, err
	}
	text, ok := textArg(msg)
	if !ok {
		return nil, fmt.Errorf("%s: %w", q.method.name, errAnswer)
	}
	return text, nil
}

// Var is Nginx.GetVar: one nginx variable, its bytes as they came, empty when unset.
func Var(kong *pdk.PDK, name string) (string, error) {
	text, err := askText(kong, AskVar(name))
	return string(text), err
}

// RawQuery is Request.GetRawQuery: what stands behind the "?", its bytes as they came.
func RawQuery(kong *pdk.PDK) (string, error) {
	text, err := askText(kong, AskRawQuery())
	return string(text), err
}

// Path is Request.GetPath: the normalised path, its bytes as they came.
func Path(kong *pdk.PDK) (string, error) {
	text, err := askText(kong, AskPath())
	return string(text), err
}

// Method is Request.GetMethod.
func Method(kong *pdk.PDK) (string, error) {
	text, err := askText(kong, AskMethod())
	return string(text), err
}

// Serialize is Log.Serialize: Kong's log entry of the request as JSON, its bytes as they came.
func Serialize(kong *pdk.PDK) (string, error) {
	text, err := askText(kong, AskSerialize())
	return string(text), err
}

// Header is Request.GetHeader: the first value of a header, its bytes as they came, empty when there is none.
func Header(kong *pdk.PDK, name string) (string, error) {
	text, err := askText(kong, AskHeader(name))
	return string(text), err
}

// Headers is Request.GetHeaders: names in lower case, values as they came, the first max (1 to 1000) of them.
func Headers(kong *pdk.PDK, max int) (map[string][]string, error) {
	return askLists(kong, AskHeaders(max))
}

// ResponseHeaders is Response.GetHeaders, as Headers.
func ResponseHeaders(kong *pdk.PDK, max int) (map[string][]string, error) {
	return askLists(kong, AskResponseHeaders(max))
}

// Query is Request.GetQuery: the first max (1 to 1000) arguments. An argument without "=" has the value "".
func Query(kong *pdk.PDK, max int) (map[string][]string, error) {
	return askLists(kong, AskQuery(max))
}

// CtxValue is Nginx.GetCtxAny: a value of Kong's request context (nil, bool, float64, string, []any, map[string]any).
func CtxValue(kong *pdk.PDK, key string) (any, error) {
	msg, err := askRaw(kong, AskCtx(key))
	if err != nil {
		return nil, err
	}
	v, ok := parseValue(msg, 0)
	if !ok {
		return nil, fmt.Errorf("kong.nginx.get_ctx: %w", errAnswer)
	}
	return v, nil
}

// RequestBody is Request.GetRawBody with a limit. size is the body's true size in bytes; body is nil when that is over
// limit. A body that Kong has spooled is read from its file, never beyond the limit; the plugin must run on Kong's
// machine as Kong's user for that.
func RequestBody(kong *pdk.PDK, limit int64) (body []byte, size int64, err error) {
	return askBody(kong, AskRequestBody(), limit)
}

// ResponseBody is ServiceResponse.GetRawBody, as RequestBody: the upstream's body, still encoded as it came. In log it
// may only be asked for a request that was buffered.
func ResponseBody(kong *pdk.PDK, limit int64) (body []byte, size int64, err error) {
	return askBody(kong, AskResponseBody(), limit)
}

// Field numbers of RawBodyResult; a ByteString's only field is the first of them.
const (
	bodyContent = 1
	bodyPath    = 2
	bodyError   = 3
)

func askBody(kong *pdk.PDK, q Question, limit int64) (body []byte, size int64, err error) {
	msg, own, err := askOwn(kong, q, true)
	if err != nil {
		return nil, 0, err
	}
	var content []byte
	var path, problem string
	ok := fields(msg, func(num protowire.Number, _ uint64, b []byte) bool {
		switch num {
		case bodyContent:
			content = b
		case bodyPath:
			path = string(b)
		case bodyError:
			problem = string(b)
		}
		return true
	})
	switch {
	case !ok:
		return nil, 0, fmt.Errorf("%s: %w", q.method.name, errAnswer)
	case problem != "":
		return nil, 0, fmt.Errorf("%s: %s", q.method.name, problem)
	case path != "":
		return readSpooled(path, limit)
	case int64(len(content)) > limit:
		return nil, int64(len(content)), nil
	}
	if !own {
		content = append([]byte(nil), content...)
	}
	return content, int64(len(content)), nil
}

// readSpooled reads the file in which Kong keeps a large request body until the request ends.
func readSpooled(path string, limit int64) (body []byte, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, fmt.Errorf("spooled request body (the plugin must share Kong's file system and user): %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("spooled request body: %s is not a regular file", path)
	}
	if size = info.Size(); size > limit {
		return nil, size, nil
	}
	body = make([]byte, size)
	if _, err := io.ReadFull(f, body); err != nil {
		return nil, size, fmt.Errorf("spooled request body: %w", err)
	}
	return body, size, nil
}

// Context ends with the event: when its handler has returned or its time budget is spent. Under another server it
// never ends.
func Context(kong *pdk.PDK) context.Context {
	if e := eventOf(kong); e != nil {
		return e.context()
	}
	return context.Background()
}
