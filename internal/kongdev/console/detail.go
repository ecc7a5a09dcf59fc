package console

import (
	"fmt"
	"strings"
	"time"

	"kong-go-plugins/internal/frames"
	"kong-go-plugins/internal/kongdev"
)

// A summary is a request as a row of the list. Times are microseconds since its
// start; an end of 0 is still to come.
type summary struct {
	Number   int64  `json:"n"`
	ID       string `json:"id"`
	TimeMS   int64  `json:"t"`
	Method   string `json:"method"`
	Target   string `json:"target"`
	Status   int    `json:"status"`
	Route    string `json:"route,omitempty"`
	Consumer string `json:"consumer,omitempty"`
	Answered int64  `json:"us"`
	Done     bool   `json:"done"`
	Failed   bool   `json:"failed"` // a plugin's event ended in an error
	Bars     []bar  `json:"bars"`
}

// A bar is a phase, or the time at the upstream.
type bar struct {
	Kind  string `json:"k"` // phase or "upstream"
	Start int64  `json:"s"`
	End   int64  `json:"e"`
}

// A detail is a request with all that is known of it.
type detail struct {
	summary
	Proto    string        `json:"proto"`
	Host     string        `json:"host"`
	Client   string        `json:"client"`
	Service  string        `json:"service,omitempty"`
	Source   string        `json:"source"`
	Bytes    int           `json:"bytes"`
	Worker   int           `json:"worker"`
	Failure  string        `json:"failure,omitempty"`
	Upstream []tryDetail   `json:"upstream"`
	Events   []eventDetail `json:"events"`
	Workflow *workflow     `json:"workflow,omitempty"`
}

type tryDetail struct {
	Address string `json:"address"`
	Start   int64  `json:"s"`
	End     int64  `json:"e"`
	Status  int    `json:"status"`
	Failed  bool   `json:"failed"`
}

type eventDetail struct {
	Plugin   string       `json:"plugin"`
	Priority int          `json:"priority"`
	Phase    string       `json:"phase"`
	Conn     int64        `json:"conn"`
	Start    int64        `json:"s"`
	Sent     int64        `json:"sent"`
	End      int64        `json:"e"`
	Flights  int          `json:"flights"`
	Exit     int          `json:"exit,omitempty"`
	Error    string       `json:"error,omitempty"`
	Calls    []callDetail `json:"calls"`
}

type callDetail struct {
	Method string `json:"method"`
	Args   string `json:"args"`
	Reply  string `json:"reply"`
	At     int64  `json:"s"`
	End    int64  `json:"e"`
	Flight int    `json:"flight"`
	Error  string `json:"error,omitempty"`
}

func micros(d time.Duration) int64 { return d.Microseconds() }

func summarize(t kongdev.Trace) summary {
	s := summary{
		Number: t.Number, ID: t.RequestID, TimeMS: t.Start.UnixMilli(), Method: clip(t.Method, 20), Target: frames.TargetText(t.URI),
		Status: t.Status, Route: t.Route, Consumer: t.Consumer, Answered: micros(t.Answered), Done: t.Done, Bars: []bar{},
	}
	for _, e := range t.Events {
		s.Bars = append(s.Bars, bar{e.Phase, micros(e.Start), micros(e.End)})
		s.Failed = s.Failed || e.Error != "" && e.Error != "closed" // that one is repeated
	}
	for _, u := range t.Upstream {
		s.Bars = append(s.Bars, bar{"upstream", micros(u.Start), micros(u.End)})
	}
	return s
}

func describe(t kongdev.Trace) detail {
	d := detail{
		summary: summarize(t), Proto: t.Proto, Host: clip(t.Host, 200), Client: t.ClientIP, Service: t.Service, Source: t.Source,
		Bytes: t.Bytes, Worker: t.Worker, Upstream: []tryDetail{}, Events: []eventDetail{},
	}
	for _, u := range t.Upstream {
		d.Upstream = append(d.Upstream, tryDetail{u.Address, micros(u.Start), micros(u.End), u.Status, u.Failed})
	}
	for _, e := range t.Events {
		out := eventDetail{
			Plugin: e.Plugin, Priority: e.Priority, Phase: e.Phase, Conn: e.Conn, Start: micros(e.Start), Sent: micros(e.Sent), End: micros(e.End),
			Flights: e.Flights, Exit: e.Exit, Error: withoutCredentials(e.Error), Calls: []callDetail{},
		}
		for _, c := range e.Calls {
			out.Calls = append(out.Calls, describeCall(c))
		}
		d.Events = append(d.Events, out)
	}
	return d
}

func describeCall(c kongdev.TraceCall) callDetail {
	out := callDetail{Method: clip(c.Method, 200), At: micros(c.At), End: micros(c.At + c.Took), Flight: c.Flight, Error: withoutCredentials(c.Error)}
	out.Args, out.Reply = byteCount(c.ArgSize), byteCount(c.RepSize)
	if len(c.Args) == c.ArgSize { // else it is cut and cannot be read, nor be known to be no secret
		out.Args = frames.ArgsText(c.Method, c.Args)
		if len(c.Reply) == c.RepSize && c.RepSize > 0 {
			out.Reply = frames.ReplyText(c.Method, c.Args, c.Reply)
		}
	}
	if strings.HasPrefix(c.Error, "exit ") {
		out.Reply = ""
	}
	return out
}

func byteCount(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("(%d bytes)", n)
}

// clip cuts text at a number of bytes and leaves whole characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return strings.ToValidUTF8(s, "\uFFFD")
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
