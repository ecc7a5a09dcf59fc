package datakit

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"strings"

	"kong-go-plugins/datakit/fetch"
)

// requestValues are the outputs of the implicit node request.
func (p *Plan) requestValues(m Message) (values, error) {
	out := make(values, 0, len(p.request))
	for _, f := range [...]struct {
		name  string
		value any
	}{{"path", m.Path}, {"raw_path", m.RawPath}, {"method", m.Method}, {"scheme", m.Scheme}, {"port", m.Port}, {"version", m.Version}} {
		if p.request[f.name] {
			if text, ok := f.value.(string); ok {
				f.value = valid(text)
			}
			out = append(out, portValue{f.name, f.value})
		}
	}
	if p.request["headers"] {
		out = append(out, portValue{"headers", p.names.headerValues(m.Header)})
	}
	if p.request["query"] {
		out = append(out, portValue{"query", queryValues(m.RawQuery)})
	}
	if p.request["body"] {
		if m.Size > int64(p.maxBody) {
			return nil, fmt.Errorf("the request's body has %d bytes, more than max_body_bytes (%d)", m.Size, p.maxBody)
		}
		body, err := bodyValue(m.Body, headerOf(m.Header, "content-type"))
		if err != nil {
			return nil, fmt.Errorf("the request's body: %w", err)
		}
		out = append(out, portValue{"body", body})
	}
	return out, nil
}

// responseValues are the outputs of the implicit node service_response.
func (p *Plan) responseValues(m Message) (values, error) {
	var out values
	if p.serviceResponse["status"] {
		out = append(out, portValue{"status", m.Status})
	}
	if p.serviceResponse["headers"] {
		out = append(out, portValue{"headers", p.names.headerValues(m.Header)})
	}
	if !p.serviceResponse["raw_body"] && !p.serviceResponse["body"] {
		return out, nil
	}
	if m.Size > int64(p.maxBody) {
		return nil, fmt.Errorf("the response's body has %d bytes, more than max_body_bytes (%d)", m.Size, p.maxBody)
	}
	out = append(out, portValue{"raw_body", string(m.Body)})
	if p.serviceResponse["body"] {
		coding := headerOf(m.Header, "content-encoding")
		plain, err := decoded(m.Body, coding, p.maxBody)
		if err != nil {
			return nil, fmt.Errorf("the response's body: %w", err)
		}
		body, err := bodyValue(plain, headerOf(m.Header, "content-type"))
		if err != nil {
			if known := fetch.Readable([]string{coding}); coding != "" && len(known) == 0 {
				return nil, fmt.Errorf("the response's body: is labelled %s, which is not unpacked; have the upstream send gzip, deflate, or no coding", shortened(coding))
			}
			return nil, fmt.Errorf("the response's body: %w", err)
		}
		out = append(out, portValue{"body", body})
	}
	return out, nil
}

// headerOf is the first value of a header, whose name is in lower case.
func headerOf(h map[string][]string, name string) string {
	if list := h[name]; len(list) > 0 {
		return list[0]
	}
	for k, list := range h {
		if len(list) > 0 && strings.EqualFold(k, name) {
			return list[0]
		}
	}
	return ""
}

// decoded unpacks a body, to most bytes at most.
func decoded(body []byte, encoding string, most int) ([]byte, error) {
	var r io.Reader
	var err error
	switch strings.ToLower(strings.TrimSpace(encoding)) {
	case "gzip", "x-gzip":
		r, err = gzip.NewReader(bytes.NewReader(body))
	case "deflate":
		if r, err = zlib.NewReader(bytes.NewReader(body)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(body)), nil // some servers leave the frame out
		}
	default:
		return body, nil
	}
	if len(body) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("is labelled %s and is not: %w", shortened(encoding), err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("is labelled %s and cannot be unpacked: %w", shortened(encoding), err)
	}
	if len(plain) > most {
		return nil, fmt.Errorf("has more than %d bytes unpacked (max_body_bytes)", most)
	}
	return plain, nil
}

// written gathers what flows into a written end of the gateway: only what comes from nodes that ran.
func (f *flow) written(i int) (values, error) {
	for _, l := range f.plan.steps[i].links {
		if f.steps[l.from].status == complete {
			return f.inputs(i)
		}
	}
	return nil, nil
}

// serviceWrites are the changes to the request to the upstream.
func (f *flow) serviceWrites() (w Writes, err error) {
	in, err := f.written(f.plan.serviceRequestStep)
	if err != nil || len(in) == 0 {
		return w, err
	}
	if w, err = f.messageWrites(in); err != nil {
		return w, err
	}
	if v := in.get("query"); v != nil {
		query, err := queryOf(v)
		if err != nil {
			return w, err
		}
		w.Query = &query
	}
	f.trace.written(f.plan.steps[f.plan.serviceRequestStep], in)
	return w, nil
}

// responseWrites are the changes to the response.
func (f *flow) responseWrites() (w Writes, err error) {
	in, err := f.written(f.plan.responseStep)
	if err != nil || len(in) == 0 {
		return w, err
	}
	if w, err = f.messageWrites(in); err != nil {
		return w, err
	}
	if _, isText := in.get("body").(string); isText && contentTypeOf(w.Headers) == "" && f.plan.xmlFeeds(f.plan.responseStep) {
		w.Headers = append(w.Headers, Header{"Content-Type", []string{"application/xml"}})
	}
	f.trace.written(f.plan.steps[f.plan.responseStep], in)
	return w, nil
}

func (f *flow) messageWrites(in values) (w Writes, err error) {
	if w.Headers, err = f.plan.names.headers(in.get("headers")); err != nil {
		return w, err
	}
	w.Headers = without(w.Headers, hopByHop...)
	body := in.get("body")
	if body == nil {
		return w, nil
	}
	w.HasBody = true
	w.Headers = without(w.Headers, "Content-Length", "Content-Encoding")
	var contentType string
	if w.Body, contentType, err = writeBody(body, contentTypeOf(w.Headers)); err != nil {
		return w, err
	}
	if contentType != "" && contentTypeOf(w.Headers) == "" {
		w.Headers = append(w.Headers, Header{"Content-Type", []string{contentType}})
	}
	return w, nil
}

// xmlFeeds reports whether the body of an end comes from a node that writes XML.
func (p *Plan) xmlFeeds(i int) bool {
	for _, l := range p.steps[i].links {
		if l.in == "body" {
			return p.steps[l.from].typ == "json_to_xml"
		}
	}
	return false
}
