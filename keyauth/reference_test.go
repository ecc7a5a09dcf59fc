package keyauth

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/textproto"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/transcript"
)

// varies is what two requests to the same Kong differ in; it is replaced on both sides before they are compared. Besides
// these the upstream's headers come in no order, and Go's client keeps Transfer-Encoding to itself.
var varies = []struct { // read-only
	why  string
	what *regexp.Regexp
	with string
}{
	{"the time", regexp.MustCompile(`(?m)^Date: .*$`), "Date: D"},
	{"latencies", regexp.MustCompile(`(X-Kong-\w+-Latency): \d+`), "$1: N"},
	{"request ids", regexp.MustCompile(`\b[0-9a-f]{32}\b`), "ID"},
	{"the gateway's port", regexp.MustCompile(`"x-forwarded-port":"\d+"`), `"x-forwarded-port":"N"`},
	{"the upstream's address", regexp.MustCompile(`"host":"[^"]*"`), `"host":"H"`},
}

// A curl is a recorded request, and the response as normalised text.
type curl struct {
	line     string
	method   string
	target   string
	headers  []string
	body     string
	response string
}

var curlArgument = regexp.MustCompile(`^(?:-([HXdF]) (.*?)(?: (-[HXdF] .*| ?127\.0\.0\.1:8200.*))|127\.0\.0\.1:8200(\S*))$`)

func parseCurl(t *testing.T, line string) (c curl) {
	t.Helper()
	c.line, c.method = line, "GET"
	const boundary = "------------------------3ad7821d20b3dfa3"
	var form []string
	for rest := line; rest != ""; {
		m := curlArgument.FindStringSubmatch(strings.TrimSpace(rest))
		require.NotNil(t, m, "%q in %q", rest, line)
		rest = m[3]
		switch m[1] {
		case "":
			c.target = m[4]
		case "H":
			name, value, _ := strings.Cut(m[2], ":")
			c.headers = append(c.headers, name, strings.TrimSpace(value))
		case "X":
			c.method = m[2]
		case "d":
			c.method, c.body = "POST", m[2]
		case "F":
			form = append(form, m[2])
		}
	}
	switch {
	case form != nil:
		c.method = "POST"
		for _, f := range form {
			name, value, _ := strings.Cut(f, "=")
			c.body += "--" + boundary + "\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n"
		}
		c.body += "--" + boundary + "--\r\n"
		c.headers = append(c.headers, "content-type", "multipart/form-data; boundary="+boundary)
	case c.body != "" && !slices.Contains(c.headers, "content-type"):
		c.headers = append(c.headers, "content-type", "application/x-www-form-urlencoded")
	}
	return c
}

func recordedCurls(t *testing.T) (list []curl) {
	t.Helper()
	for i, block := range strings.Split("\n"+transcript.KeyAuth(), "\n### ") {
		if i == 0 {
			continue
		}
		line, text, _ := strings.Cut(block, "\n")
		c := parseCurl(t, line)
		r := bufio.NewReader(strings.NewReader(text))
		status, err := r.ReadString('\n')
		require.NoError(t, err)
		header, err := textproto.NewReader(r).ReadMIMEHeader()
		require.NoError(t, err)
		body, err := io.ReadAll(r)
		require.NoError(t, err)
		c.response = normalised(t, strings.Fields(status)[1], http.Header(header), string(body))
		list = append(list, c)
	}
	return list
}

// normalised is a response as text, its headers in order.
func normalised(t *testing.T, status string, header http.Header, body string) string {
	t.Helper()
	var lines []string
	for name, values := range header {
		if name == "Transfer-Encoding" {
			continue
		}
		for _, v := range values {
			lines = append(lines, name+": "+v)
		}
	}
	slices.Sort(lines)
	body = strings.TrimSpace(body)
	if strings.HasPrefix(body, `{"method"`) {
		var e any
		require.NoError(t, json.Unmarshal([]byte(body), &e))
		ordered, err := json.MarshalIndent(e, "", " ")
		require.NoError(t, err)
		body = strings.ReplaceAll(string(ordered), `": "`, `":"`)
	}
	text := status + "\n" + strings.Join(lines, "\n") + "\n\n" + body
	for _, v := range varies {
		text = v.what.ReplaceAllString(text, v.with)
	}
	return text
}

// TestReference replays what a real Kong's key-auth was asked, and wants the same answers and the same requests at the
// upstream.
func TestReference(t *testing.T) {
	curls := recordedCurls(t)
	require.Len(t, curls, 27)
	for name, program := range programs() {
		t.Run(name, func(t *testing.T) {
			g := startGateway(t, program,
				route{"/echo/plain", nil},
				route{"/echo/hide", []string{"hide_credentials: true", "key_in_body: true", "key_names: [apikey, x-key]"}},
				route{"/echo/anon", []string{"anonymous: anon"}},
				route{"/echo/realm", []string{"realm: my-realm", "key_in_query: false", "run_on_preflight: false"}})
			for _, c := range curls {
				t.Run(c.line, func(t *testing.T) {
					r := g.Send(c.method, c.target, c.body, slices.Concat(c.headers, []string{"User-Agent", "curl/7.88.1", "Accept", "*/*"})...)
					assert.Equal(t, c.response, normalised(t, strconv.Itoa(r.Status), r.Header, r.Body))
				})
			}
			assert.Empty(t, g.Stats().Failures)
		})
	}
}
