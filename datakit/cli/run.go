package cli

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var runCommand = command{
	name:  "run",
	usage: "run [flags] FILE -request r.http",
	about: "Runs a workflow for one request, without Kong and without the services that it calls: stubs answer in their place. It\n" +
		"prints the calls, the request that the upstream gets, and the answer to the client. Values of vaults are shown as ********.\n" +
		"Exit status: 0, 1 when the workflow fails or no stub answers a call, 2 for a wrong command line or file.",
	run: run,
}

// runFlags are the files that a rehearsal is made of.
type runFlags struct {
	request, upstream, stubs, vault, properties, now string
	live                                             bool
}

func (r *runFlags) register(f *flag.FlagSet) {
	f.StringVar(&r.request, "request", "", "the client's request, a `file`: GET /orders?page=2 HTTP/1.1, headers, an empty line, the body")
	f.StringVar(&r.upstream, "upstream", "", "what the upstream answers, a `file`: HTTP/1.1 200 OK, headers, an empty line, the body; 200 without a body if not given")
	f.StringVar(&r.stubs, "stub", "", "answers of services, a YAML `file`: a list of {node or url, method, status, headers, body, error}; * in a url is anything")
	f.StringVar(&r.vault, "vault", "", "values of resources.vault by key, a YAML `file`; without, {vault://env/...} is read from the environment")
	f.StringVar(&r.properties, "properties", "", "properties of the gateway by name, a YAML `file`, for instance kong.client.consumer: {username: ann}")
	f.StringVar(&r.now, "now", "", "the `time` for jq's now and for tokens, as in 2026-01-02T15:04:05Z; the trace leaves times out then")
	f.BoolVar(&r.live, "live", false, "really make the calls that no stub answers, and use the cache that is configured")
}

func run(o *out, f *flag.FlagSet, args []string) (int, error) {
	var files runFlags
	files.register(f)
	trace := f.Bool("trace", false, "print what each node did, as a timeline")
	format := f.String("o", "text", "`format` of the output: text or json")
	n := f.Int("n", 0, "the `number` of the configuration, from 1, when the file holds several")
	plugin := f.String("plugin", "datakit", "the `name` that Kong has for the plugin")
	file, err := oneFile(f, args)
	switch {
	case err != nil:
		return exitUsage, err
	case files.request == "":
		return wrongUsage("-request: the client's request is missing")
	case *format != "text" && *format != "json":
		return wrongUsage("-o %q: expected text or json", *format)
	}
	s, err := openOne(file, *plugin, *n)
	if err != nil {
		return exitUsage, err
	}
	text := func(name string) (string, error) {
		if name == "" {
			return "", nil
		}
		b, err := readFile(name)
		return string(b), err
	}
	script := script{}
	for _, part := range []struct {
		name string
		into *string
	}{{files.stubs, &script.stubs}, {files.vault, &script.vault}, {files.properties, &script.properties}} {
		if *part.into, err = text(part.name); err != nil {
			return exitUsage, err
		}
	}
	script.now = files.now
	props, err := script.props()
	if err != nil {
		return exitUsage, err
	}
	props.live = files.live
	var scene scene
	if scene.request, err = text(files.request); err == nil {
		scene.upstream, err = text(files.upstream)
	}
	if err != nil {
		return exitUsage, err
	}
	q, upstream, err := scene.parse()
	if err != nil {
		return exitUsage, err
	}
	r, err := rehearse(s, props)
	if err != nil {
		return exitBad, err
	}
	defer r.close()
	done := r.step(context.Background(), q, upstream)
	if *format == "json" {
		err = o.json(r, done)
	} else {
		o.printf("%s", r.hidden(done.text(*trace, props.now.IsZero())))
	}
	if done.missing != "" {
		fmt.Fprint(o.stderr, r.hidden(done.missing))
	}
	if done.failure != "" || done.missing != "" {
		return exitBad, err
	}
	return exitGood, err
}

var lineOf = regexp.MustCompile(`line \d+: `) // read-only

// A script is what a rehearsal needs, as texts.
type script struct{ stubs, vault, properties, now string }

func (s script) props() (p props, err error) {
	if p.stubs, err = parseStubs(s.stubs); err != nil {
		return p, fmt.Errorf("stubs: %w", err)
	}
	if err := yaml.Unmarshal([]byte(s.vault), &p.vault); err != nil {
		// The library's error has a part of the value in it.
		return p, fmt.Errorf("vault: %sexpected texts by key, such as api-key: VALUE", lineOf.FindString(err.Error()))
	}
	roots, err := documents("properties", []byte(s.properties))
	if err != nil {
		return p, err
	}
	for _, root := range roots {
		m, ok := (&sourceReader{}).value(nil, root, "", 0).(map[string]any)
		if !ok {
			return p, fmt.Errorf("properties: expected values by name, such as kong.client.consumer: {username: ann}")
		}
		p.properties = m
	}
	if s.now != "" {
		if p.now, err = time.Parse(time.RFC3339, s.now); err != nil {
			return p, fmt.Errorf("now: %q is no time such as 2026-01-02T15:04:05Z", s.now)
		}
	}
	return p, nil
}

// A scene is a request and what its upstream answers, as texts.
type scene struct{ request, upstream string }

func (s scene) parse() (*request, *response, error) {
	q, err := parseRequest(s.request)
	if err != nil {
		return nil, nil, fmt.Errorf("request: %w", err)
	}
	upstream := &response{status: http.StatusOK, header: http.Header{}}
	if s.upstream != "" {
		if upstream, err = parseResponse(s.upstream); err != nil {
			return nil, nil, fmt.Errorf("upstream: %w", err)
		}
	}
	return q, upstream, nil
}

// text is the outcome as people read it.
func (o *outcome) text(trace, timed bool) string {
	var b strings.Builder
	for i, c := range o.calls {
		if i == 0 {
			b.WriteString("calls\n")
		}
		result := fmt.Sprintf("answered with %d", c.status)
		if c.failed != "" {
			result = "failed: " + c.failed
		} else if c.status == 0 {
			result = "without an answer"
		}
		fmt.Fprintf(&b, "  %s: %s %s, %s\n", c.node, c.method, c.url, result)
		writeMessage(&b, "    ", c.header, c.body)
	}
	if len(o.properties) > 0 {
		b.WriteString("properties\n")
		for _, w := range o.properties {
			value, err := json.Marshal(w.value)
			if err == nil {
				fmt.Fprintf(&b, "  %s = %s\n", w.name, value)
			}
		}
	}
	if o.upstream == nil {
		b.WriteString("the upstream is not reached\n")
	} else {
		u := o.upstream
		b.WriteString("request to the upstream")
		if u.host != "" {
			fmt.Fprintf(&b, " at %s://%s", u.scheme, u.host)
		}
		fmt.Fprintf(&b, "\n  %s %s HTTP/1.1\n", u.method, u.target)
		writeMessage(&b, "  ", u.header, u.body)
	}
	fmt.Fprintf(&b, "answer to the client\n  HTTP/1.1 %d %s\n", o.answer.status, http.StatusText(o.answer.status))
	writeMessage(&b, "  ", o.answer.header, o.answer.body)
	for _, line := range o.logged {
		fmt.Fprintf(&b, "log: %s\n", line)
	}
	if o.failure != "" {
		fmt.Fprintf(&b, "failed: %s\n", o.failure)
	}
	if trace && o.trace != nil {
		b.WriteString("trace\n" + timeline(o.trace, timed))
	}
	return b.String()
}

// writeMessage writes headers and body with an indent.
func writeMessage(b *strings.Builder, indent string, h http.Header, body string) {
	for _, line := range headerLines(h) {
		b.WriteString(indent + line + "\n")
	}
	if body != "" {
		b.WriteString("\n")
		for line := range strings.SplitSeq(strings.TrimSuffix(body, "\n"), "\n") {
			b.WriteString(strings.TrimRight(indent+line, " ") + "\n")
		}
	}
}

// json writes the outcome for programs.
func (o *out) json(r *rehearsal, done *outcome) error {
	type message struct {
		Node    string      `json:"node,omitempty"`
		Method  string      `json:"method,omitempty"`
		URL     string      `json:"url,omitempty"`
		URI     string      `json:"uri,omitempty"`
		Host    string      `json:"host,omitempty"`
		Status  int         `json:"status,omitempty"`
		Headers http.Header `json:"headers"`
		Body    string      `json:"body"`
	}
	document := struct {
		Calls      []message      `json:"calls"`
		Properties map[string]any `json:"properties"`
		Upstream   *message       `json:"upstream"`
		Answer     message        `json:"answer"`
		Failure    string         `json:"failure,omitempty"`
		Log        []string       `json:"log,omitempty"`
		Trace      any            `json:"trace"`
	}{Calls: []message{}, Properties: map[string]any{}, Failure: done.failure, Log: done.logged, Trace: done.trace}
	for _, c := range done.calls {
		document.Calls = append(document.Calls, message{Node: c.node, Method: c.method, URL: c.url, Status: c.status, Headers: c.header, Body: c.body})
	}
	for _, w := range done.properties {
		document.Properties[w.name] = w.value
	}
	if u := done.upstream; u != nil {
		document.Upstream = &message{Method: u.method, URI: u.target, Host: u.host, Headers: u.header, Body: u.body}
	}
	document.Answer = message{Status: done.answer.status, Headers: done.answer.header, Body: done.answer.body}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(document); err != nil {
		return err
	}
	o.printf("%s", r.hidden(b.String()))
	return nil
}

// sortedNames are the keys of a map.
func sortedNames[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
