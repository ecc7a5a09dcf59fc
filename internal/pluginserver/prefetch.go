package pluginserver

import (
	"github.com/Kong/go-pdk"
	"google.golang.org/protobuf/encoding/protowire"
)

// A Question is a call that reads, for Prefetch.
type Question struct {
	method *method
	args   []byte
}

// Questions. Each is what the PDK method of the same name asks; only such an ordinary call, or the function of this
// package for it, picks up the answer.

// AskVar is Nginx.GetVar.
func AskVar(name string) Question { return question("kong.nginx.get_var", textMessage(name)) }

// AskHeader is Request.GetHeader.
func AskHeader(name string) Question { return question("kong.request.get_header", textMessage(name)) }

// AskHeaders is Request.GetHeaders; max is 1 to 1000.
func AskHeaders(max int) Question { return question("kong.request.get_headers", intMessage(max)) }

// AskResponseHeaders is Response.GetHeaders; max is 1 to 1000.
func AskResponseHeaders(max int) Question {
	return question("kong.response.get_headers", intMessage(max))
}

// AskQuery is Request.GetQuery; max is 1 to 1000.
func AskQuery(max int) Question { return question("kong.request.get_query", intMessage(max)) }

// AskRawQuery is Request.GetRawQuery.
func AskRawQuery() Question { return question("kong.request.get_raw_query", nil) }

// AskMethod is Request.GetMethod.
func AskMethod() Question { return question("kong.request.get_method", nil) }

// AskPath is Request.GetPath.
func AskPath() Question { return question("kong.request.get_path", nil) }

// AskRequestBody is Request.GetRawBody.
func AskRequestBody() Question { return question("kong.request.get_raw_body", nil) }

// AskResponseBody is ServiceResponse.GetRawBody. In log, Kong refuses it unless the request was buffered.
func AskResponseBody() Question { return question("kong.service.response.get_raw_body", nil) }

// AskSerialize is Log.Serialize.
func AskSerialize() Question { return question("kong.log.serialize", nil) }

// AskCtx is Nginx.GetCtxAny.
func AskCtx(key string) Question { return question("kong.nginx.get_ctx", textMessage(key)) }

// AskShared is Ctx.GetSharedAny.
func AskShared(key string) Question { return question("kong.ctx.shared.get", textMessage(key)) }

// AskClientIP is Client.GetIp.
func AskClientIP() Question { return question("kong.client.get_ip", nil) }

// AskConsumer is Client.GetConsumer.
func AskConsumer() Question { return question("kong.client.get_consumer", nil) }

// AskStatus is Response.GetStatus.
func AskStatus() Question { return question("kong.response.get_status", nil) }

func question(name string, args []byte) Question {
	return Question{method: methods[name], args: args}
}

func textMessage(s string) []byte {
	if s == "" {
		return nil
	}
	return appendBytesField(make([]byte, 0, protowire.SizeTag(1)+protowire.SizeBytes(len(s))), 1, s)
}

func intMessage(n int) []byte {
	if n == 0 {
		return nil
	}
	return protowire.AppendVarint([]byte{0x08}, uint64(n))
}

// Prefetch announces questions that the handler is going to ask. They leave together with the next flight, so that all
// of them cost one round trip. Any setter in between drops the answers. A question that Kong would refuse in this
// phase is left out. Under another server Prefetch does nothing: the calls themselves ask.
func Prefetch(kong *pdk.PDK, questions ...Question) {
	e := eventOf(kong)
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.announce(questions)
}

func (e *event) announce(questions []Question) {
	for _, q := range questions {
		if e.state != running || q.method.phases&e.phase == 0 {
			continue
		}
		if e.collect(q.method, q.args, true) != nil {
			return
		}
	}
}
