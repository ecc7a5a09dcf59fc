package pluginserver

import (
	"errors"
	"fmt"

	"github.com/Kong/go-pdk"
	"github.com/Kong/go-pdk/client"
	"github.com/Kong/go-pdk/entities"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/emptypb"
)

// The setters below tell Kong the same as the PDK's own, without generic protobuf objects, which cost most of a call that
// waits for nothing, and without failing on bytes that are not UTF-8. Under go-pdk's own server they work too.

// SetServiceHeader is ServiceRequest.SetHeader. Kong sends an empty value as a blank.
func SetServiceHeader(kong *pdk.PDK, name, value string) error {
	var buf [192]byte
	return tell(kong, methods["kong.service.request.set_header"], appendPair(buf[:0], name, value))
}

// SetResponseHeader is Response.SetHeader. Kong sends an empty value as a blank.
func SetResponseHeader(kong *pdk.PDK, name, value string) error {
	var buf [192]byte
	return tell(kong, methods["kong.response.set_header"], appendPair(buf[:0], name, value))
}

// SetCtxFlag is Nginx.SetCtx of a truth value.
func SetCtxFlag(kong *pdk.PDK, key string, on bool) error {
	var buf [64]byte
	args := append(appendBytesField(buf[:0], 1, key), 2<<3|2, 2, valueBool<<3, 0)
	if on {
		args[len(args)-1] = 1
	}
	return tell(kong, methods["kong.nginx.set_ctx"], args)
}

// appendPair appends a name and a Value that is a text.
func appendPair(args []byte, name, value string) []byte {
	args = appendBytesField(args, 1, name)
	args = protowire.AppendTag(args, 2, protowire.BytesType)
	args = protowire.AppendVarint(args, uint64(1+protowire.SizeBytes(len(value))))
	return appendBytesField(args, valueString, value)
}

// ClearServiceHeader is ServiceRequest.ClearHeader.
func ClearServiceHeader(kong *pdk.PDK, name string) error {
	var buf [64]byte
	return tell(kong, methods["kong.service.request.clear_header"], appendBytesField(buf[:0], 1, name))
}

// A ServiceHeader is a header of the request to the upstream. An empty value clears it.
type ServiceHeader struct{ Name, Value string }

// SetServiceHeaders is ServiceRequest.SetHeaders: one call, which costs Kong less than one per header.
func SetServiceHeaders(kong *pdk.PDK, headers ...ServiceHeader) error {
	var buf [512]byte
	args := buf[:0]
	for _, h := range headers {
		var scratch [96]byte
		entry := appendBytesField(scratch[:0], 1, h.Name)
		if h.Value == "" {
			entry = append(entry, 2<<3|2, 2, valueList<<3|2, 0) // a Value that is an empty list
		} else {
			entry = appendPair(scratch[:0], h.Name, h.Value)
		}
		args = appendBytesField(args, 1, entry)
	}
	return tell(kong, methods["kong.service.request.set_headers"], args)
}

// SetServiceQuery is ServiceRequest.SetRawQuery.
func SetServiceQuery(kong *pdk.PDK, query string) error {
	return tell(kong, methods["kong.service.request.set_raw_query"], textMessage(query))
}

// SetServiceBody is ServiceRequest.SetRawBody. It waits for Kong.
func SetServiceBody(kong *pdk.PDK, body string) error {
	return tell(kong, methods["kong.service.request.set_raw_body"], textMessage(body))
}

// Authenticate is Client.Authenticate.
func Authenticate(kong *pdk.PDK, consumer *entities.Consumer, credential *client.AuthenticatedCredential) error {
	var buf, inner [256]byte
	args := buf[:0]
	if consumer != nil {
		m := appendUnlessEmpty(inner[:0], 1, consumer.Id)
		if consumer.CreatedAt != 0 {
			m = protowire.AppendVarint(protowire.AppendTag(m, 2, protowire.VarintType), uint64(consumer.CreatedAt))
		}
		m = appendUnlessEmpty(m, 3, consumer.Username)
		m = appendUnlessEmpty(m, 4, consumer.CustomId)
		for _, tag := range consumer.Tags {
			m = appendBytesField(m, 5, tag)
		}
		args = appendBytesField(args, 1, m)
	}
	if credential != nil {
		m := appendUnlessEmpty(inner[:0], 1, credential.Id)
		m = appendUnlessEmpty(m, 2, credential.ConsumerId)
		args = appendBytesField(args, 2, m)
	}
	if consumer == nil && credential == nil {
		return errors.New("kong.client.authenticate: neither consumer nor credential")
	}
	return tell(kong, methods["kong.client.authenticate"], args)
}

// appendUnlessEmpty appends a string field as protobuf 3 does.
func appendUnlessEmpty(b []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return b
	}
	return appendBytesField(b, num, s)
}

// tell makes one call that has no answer.
func tell(kong *pdk.PDK, m *method, args []byte) error {
	if e := eventOf(kong); e != nil {
		return e.tell(m, args)
	}
	message := new(emptypb.Empty) // it carries any encoded arguments as unknown fields
	message.ProtoReflect().SetUnknown(args)
	if err := kong.Request.Ask(m.name, message, nil); err != nil {
		return fmt.Errorf("%s: %w", m.name, err)
	}
	return nil
}

// tell is the short way of a setter of our own. What can wait for the next flight does.
func (e *event) tell(m *method, args []byte) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.state != running {
		return e.gone()
	}
	if e.phase == log && !m.servedInLog(args) {
		return notInLog(m)
	}
	if m.behind != nil && m.phases&e.phase != 0 && 2*frameHeader+len(m.name)+len(args) <= maxUnsent && m.behind(args) {
		if err := e.collect(m, args, false); err != nil {
			return err
		}
		e.forget(m)
		return nil
	}
	e.forget(m)
	n, err := e.send(m, args)
	if err != nil {
		return err
	}
	if _, err := e.stream.readPayload(n); err != nil {
		return e.fail(err)
	}
	return nil
}
