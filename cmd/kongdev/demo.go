package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// demoTimeout is usually how long the demo's requests and then their events may take.
const demoTimeout = 20 * time.Second

// demoHeader numbers the demo's requests, to find their events again.
const demoHeader = "X-Demo-Request"

// A call is one request of the demo and what must come of it.
type call struct {
	method, path string
	headers      map[string]string
	body         []byte // as it is meant, before content encoding
	gzip         bool   // send the body compressed
	about        string
	status       int
	user         string
}

// A reply is what came of a call, as the client saw it.
type reply struct {
	status int
	body   []byte // decompressed
	took   time.Duration
	err    error
}

// demoCalls are few, and each is of another kind.
func demoCalls() []call {
	order := []byte(`{"sku":"A-1","qty":2,"gift":false,"price":12345678901234567890}`)
	var large bytes.Buffer
	large.WriteString(`{"lines":[`)
	for i := range 500 {
		if i > 0 {
			large.WriteByte(',')
		}
		fmt.Fprintf(&large, `{"sku":"A-%04d","qty":%d,"note":"line %d"}`, i, i%7, i)
	}
	large.WriteString(`]}`)
	jsonType := map[string]string{"Content-Type": "application/json"}
	form := url.Values{"name": {"Ada Lovelace"}, "plan": {"pro & more"}}.Encode()
	return []call{
		{method: "GET", path: "/hello?x=1&flag", about: "JSON", status: 200},
		{method: "POST", path: "/orders", headers: jsonType, body: order, about: "JSON body", status: 200},
		{method: "POST", path: "/orders/import", headers: jsonType, body: large.Bytes(), about: "20 kB body, spooled to a file by the gateway", status: 200},
		{method: "PUT", path: "/orders/7", headers: jsonType, body: order, gzip: true, about: "gzip request", status: 200},
		{method: "GET", path: "/gzip", headers: map[string]string{"Accept-Encoding": "gzip"}, about: "gzip response", status: 200},
		{method: "GET", path: "/text", about: "plain text", status: 200},
		{method: "POST", path: "/form", headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, body: []byte(form), about: "form", status: 200},
		{method: "GET", path: "/me", headers: map[string]string{"Authorization": "Bearer " + demoToken("alice")}, about: "JWT user", status: 200, user: "alice"},
		{method: "GET", path: "/missing", about: "not found", status: 404},
		{method: "DELETE", path: "/status/503", about: "server error", status: 503},
	}
}

// demoToken is a JSON Web Token that names a user. Its signature is none that
// anybody would accept: reading who calls is not checking it.
func demoToken(user string) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"HS256","typ":"JWT"}`) + "." + part(`{"sub":"`+user+`","iat":1772000000}`) + "." + part("demo")
}

// demo sends the calls, prints the event of each, and compares the two. It
// then serves until ctx ends, or returns at once with once set.
func demo(ctx context.Context, st *started, once bool, out *screen) int {
	st.describe(out)
	out.blank()
	calls := demoCalls()
	bounded, cancel := context.WithTimeout(ctx, st.settings.patience)
	defer cancel()
	replies := make([]reply, len(calls))
	for i, c := range calls {
		replies[i] = c.send(bounded, st.gateway.URL(), i)
	}
	events, waitErr := st.collector.Wait(bounded, len(calls))
	switch {
	case ctx.Err() != nil && once:
		return exitError // interrupted: nothing was proved
	case ctx.Err() != nil:
		return exitOK
	}
	found, extra := sortEvents(events, len(calls))
	wrong := 0
	for i, c := range calls {
		e, faults := found[i], c.faults(replies[i], found[i])
		mark := out.in(green, "✓")
		if len(faults) > 0 {
			mark, wrong = out.in(red, "✗"), wrong+1
		}
		if e != nil {
			out.event(*e, mark, c.about)
		} else {
			out.line(fmt.Sprintf("%s     %-6s %s  %s", mark, c.method, c.path, out.in(dim, c.about)))
		}
		for _, f := range faults {
			out.line("    " + out.in(red, out.fit(f, 4)))
		}
	}
	out.blank()
	ok := st.totals(out, len(calls), len(events), wrong, extra)
	if waitErr != nil {
		out.line(out.in(red, "  "+waitErr.Error()))
	}
	switch {
	case once && ok:
		return exitOK
	case once:
		return exitError
	}
	out.blank()
	out.line("send more, it shows up here:")
	out.line(fmt.Sprintf("  curl -i %s/orders -H 'content-type: application/json' -d '{\"sku\":\"B-2\"}'", st.gateway.URL()))
	if st.admin != nil {
		out.line(fmt.Sprintf("  curl %s/plugins", st.admin.URL()))
	}
	out.line("stop with Ctrl-C")
	out.blank()
	seen, _ := st.collector.Total()
	follow(ctx, st, out, seen)
	return exitOK
}

// totals prints the sum and reports whether everything is as it must be.
func (st *started) totals(out *screen, calls, events, wrong, extra int) bool {
	wire, plain, batches := 0, 0, st.collector.Batches()
	for _, b := range batches {
		wire += b.WireBytes
		plain += b.Bytes
	}
	_, refused := st.collector.Total()
	stats := st.gateway.Stats()
	missing := 0
	for _, n := range stats.NotImplemented {
		missing += int(n)
	}
	ok := wrong == 0 && extra == 0 && events == calls && stats.Failed == 0 && stats.LostLogEvents == 0 && missing == 0
	verdict := out.in(green, "every event is complete: method, target, status, user and both bodies equal what was sent and received")
	if !ok {
		verdict = out.in(red, fmt.Sprintf("%d of %d events are missing or differ from what was sent and received", max(wrong, 1), calls))
	}
	out.line("  " + out.in(bold, fmt.Sprintf("%s, %s", count(calls, "request"), count(events, "event"))) + ": " + verdict)
	out.line(fmt.Sprintf("  the plugin posted %s, %s on the wire for %s of JSON; %s refused", batchCount(len(batches)), kilobytes(wire), kilobytes(plain), count(refused, "post")))
	out.line(fmt.Sprintf("  the gateway counted %s, %s, %s, %s that kongdev does not know", count(int(stats.Failed), "failed request"),
		count(int(stats.LostLogEvents), "lost log event"), count(int(stats.Respawns), "restart"), count(missing, "call")))
	return ok
}

func batchCount(n int) string {
	if n == 1 {
		return "1 batch"
	}
	return fmt.Sprintf("%d batches", n)
}

func kilobytes(n int) string { return fmt.Sprintf("%.1f kB", float64(n)/1000) }

// send makes the request with its number.
func (c call) send(ctx context.Context, base string, number int) reply {
	body := c.body
	if c.gzip {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = z.Write(body)
		_ = z.Close()
		body = b.Bytes()
	}
	req, err := http.NewRequestWithContext(ctx, c.method, base+c.path, bytes.NewReader(body))
	if err != nil {
		return reply{err: err}
	}
	req.Header.Set(demoHeader, strconv.Itoa(number))
	for name, value := range c.headers {
		req.Header.Set(name, value)
	}
	if c.gzip {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if req.Header.Get("Accept-Encoding") == "" {
		req.Header.Set("Accept-Encoding", "identity") // else Go's client would ask for gzip and hide it
	}
	from := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{err: err}
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode}
	var plain io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if plain, err = gzip.NewReader(resp.Body); err != nil {
			return reply{err: err}
		}
	}
	r.body, r.err = io.ReadAll(plain)
	r.took = time.Since(from)
	return r
}

// sortEvents finds the event of each call; extra counts those of no call and
// second ones.
func sortEvents(raw []json.RawMessage, calls int) (found []*event, extra int) {
	found = make([]*event, calls)
	for _, r := range raw {
		e, err := readEvent(r)
		n, errN := strconv.Atoi(e.Request.header(strings.ToLower(demoHeader)))
		if err != nil || errN != nil || n < 0 || n >= calls || found[n] != nil {
			extra++
			continue
		}
		found[n] = &e
	}
	return found, extra
}

// faults lists what is not as it must be, in the reply or in its event.
func (c call) faults(r reply, e *event) []string {
	var out []string
	fault := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if r.err != nil {
		fault("the request failed: %v", r.err)
	} else if r.status != c.status {
		fault("the client got status %d, not %d", r.status, c.status)
	}
	if e == nil {
		fault("no event arrived for %s %s", c.method, c.path)
		return out
	}
	same := func(what string, got, want any) {
		if got != want {
			fault("%s: the event has %v, it was %v", what, got, want)
		}
	}
	same("method", e.Request.Verb, c.method)
	same("target", e.path(), c.path)
	same("status", e.Response.Status, r.status)
	same("user", e.UserID, c.user)
	if text := sameBody(e.Request.half, c.body); text != "" {
		fault("request body: %s", text)
	}
	if text := sameBody(e.Response.half, r.body); text != "" {
		fault("response body: %s", text)
	}
	return out
}

// sameBody says how a captured body differs from what it was; "" is not at
// all. JSON may be spaced differently, and no number may change.
func sameBody(h half, want []byte) string {
	got, err := h.bytes()
	if err != nil {
		return "unreadable: " + err.Error()
	}
	if bytes.Equal(got, want) {
		return ""
	}
	if h.TransferEncoding == "json" {
		a, errA := numbersKept(got)
		b, errB := numbersKept(want)
		if errA == nil && errB == nil && reflect.DeepEqual(a, b) {
			return ""
		}
	}
	return fmt.Sprintf("the event has %d bytes that differ from the %d there were", len(got), len(want))
}

func numbersKept(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}
