package referee

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/transcript"
)

// A request is a client's as curl sent it for a recording.
type request struct {
	plugin  string
	method  string
	target  string
	headers []string // lines after Host, User-Agent and Accept
	body    string
	again   bool // a second one, while the first is in the plugin
}

// requests are those of the recordings, by recording.
var requests = map[string]request{ // read-only
	"01": {plugin: "tplug", target: "/hello?x=1&y=2&flag"},
	"02": {plugin: "tplug", target: "/hello"},
	"03": {plugin: "tplug", method: "POST", target: "/echo", headers: []string{"content-type: application/json", "x-test: body"}, body: `{"a":1}`},
	"04": {plugin: "tplug", method: "POST", target: "/echo", headers: []string{"content-type: application/json", "x-test: body"}, body: strings.Repeat("x", 20011)},
	"05": {plugin: "tplug", target: "/missing"},
	"06": {plugin: "tplug", target: "/", headers: []string{"x-test: exit"}},
	"07": {plugin: "tplug", target: "/", headers: []string{"x-test: exit-more"}},
	"08": {plugin: "tplug", target: "/echo", headers: []string{"x-test: respbody"}},
	"09": {plugin: "tplug", target: "/echo", headers: []string{"x-test: respexit"}},
	"10": {plugin: "tplug", target: "/items/42?a=1&a=2&b", headers: []string{"x-test: hdrs", "X-Dup: 1", "X-Dup: 2"}},
	"11": {plugin: "tplug", target: "/", headers: []string{"x-test: badpdk"}},
	"12": {plugin: "tplug", target: "/", headers: []string{"x-test: loglvl"}},
	"13": {plugin: "tplug", target: "/", headers: []string{"x-test: sleep300ms"}, again: true},
	"14": {plugin: "tplug", target: "/", headers: []string{"x-test: panic"}},
	"15": {plugin: "tplug", target: "/"},
	"16": {plugin: "tplug", method: "OPTIONS", target: "/"},
	"17": {plugin: "bad", target: "/", headers: []string{"x-test: getarg"}},
	"20": {plugin: "probe", target: "/", headers: []string{"x-test: shared"}},
	"21": {plugin: "probe", target: "/", headers: []string{"x-test: auth"}},
	"22": {plugin: "probe", target: "/", headers: []string{"x-test: authnil"}},
	"23": {plugin: "probe", target: "/", headers: []string{"x-test: setuphdr"}},
	"24": {plugin: "probe", target: "/", headers: []string{"x-test: exitnil"}},
	"25": {plugin: "probe", target: "/", headers: []string{"x-test: exitempty"}},
	"26": {plugin: "probe", target: "/", headers: []string{"x-test: exitstatus"}},
	"27": {plugin: "probe", target: "/", headers: []string{"x-test: exitbin"}},
	"28": {plugin: "probe", target: "/items/42/foo", headers: []string{"x-test: vars"}},
	"29": {plugin: "probe", target: "/", headers: []string{"x-test: addhdr"}},
	"30": {plugin: "probe", method: "POST", target: "/", headers: []string{"x-test: utf8", "x-bin: a\xff\xfeb", "Content-Type: application/x-www-form-urlencoded"}, body: "\xffraw"},
}

// recordings lists the recordings of a plugin in order, for instance "06_exit_418".
func recordings(plugin string) []string {
	var names []string
	for _, name := range transcript.Names() {
		if requests[name[:2]].plugin == plugin {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryRecordingHasARequest(t *testing.T) {
	assert.Len(t, requests, 28)
	for _, name := range transcript.Names() {
		assert.Contains(t, requests, name[:2])
	}
}

// An answer is a client's response: its lines as they came.
type answer struct {
	status  string
	headers []string
	body    string
}

// send sends the request byte for byte and reads the answer.
func (q request) send(addr string) (answer, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	method := q.method
	if method == "" {
		method = "GET"
	}
	head := method + " " + q.target + " HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
	for _, h := range q.headers {
		head += h + "\r\n"
	}
	if q.body != "" {
		head += fmt.Sprintf("Content-Length: %d\r\n", len(q.body))
	}
	if _, err := io.WriteString(c, head+"\r\n"+q.body); err != nil {
		return answer{}, err
	}
	in := bufio.NewReader(c)
	var a answer
	var read bytes.Buffer
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return a, fmt.Errorf("head of the answer: %w", err)
		}
		read.WriteString(line)
		line = strings.TrimSuffix(line, "\r\n")
		if line == "" {
			break
		}
		if a.status == "" {
			a.status = line
		} else {
			a.headers = append(a.headers, line)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(&read, in)), &http.Request{Method: method})
	if err != nil {
		return a, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	a.body = string(body)
	return a, err
}

// readAnswers reads the recorded answers.
func readAnswers(t *testing.T) map[string]answer {
	t.Helper()
	answers := map[string]answer{}
	for part := range strings.SplitSeq(transcript.Requests(), "### ") {
		title, text, ok := strings.Cut(part, "\n")
		if !ok {
			continue
		}
		head, body, _ := strings.Cut(text, "\n\n")
		lines := strings.Split(head, "\n")
		answers[title[:2]] = answer{lines[0], lines[1:], strings.TrimSuffix(body, "\n")}
	}
	require.Len(t, answers, 15, "the answers to 01 to 16 without 13")
	return answers
}

var requestID = regexp.MustCompile(`[0-9a-f]{32}`) // read-only

// compare finds an answer equal to the recorded one, but for what differs between two runs and what is accepted.
func (a answer) compare(t *testing.T, want answer) {
	t.Helper()
	for _, d := range acceptedDifferences {
		want, a = d.without(want), d.without(a)
	}
	want, a = want.normal(), a.normal()
	assert.Equal(t, want.status, a.status)
	assert.Equal(t, want.headers, a.headers)
	assert.Equal(t, want.body, a.body)
}

// normal is the answer without what differs between two runs.
func (a answer) normal() answer {
	out := answer{status: a.status}
	for _, line := range a.headers {
		name, v, _ := strings.Cut(line, ": ")
		switch name {
		case "Date":
			if _, err := http.ParseTime(v); err == nil {
				v = "D"
			}
		case "X-Kong-Request-Id":
			v = requestID.ReplaceAllString(v, "ID")
		case "X-Kong-Proxy-Latency", "X-Kong-Upstream-Latency", "X-Kong-Response-Latency":
			if _, err := strconv.Atoi(v); err == nil {
				v = "N"
			}
		}
		out.headers = append(out.headers, name+": "+v)
	}
	if strings.Contains(a.body, `"body_len"`) {
		out.body = normalJSON([]byte(a.body)) // the upstream's echo
	} else {
		out.body = requestID.ReplaceAllString(a.body, "ID")
	}
	return out
}
