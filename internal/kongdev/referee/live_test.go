package referee

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Kong/go-pdk/server/kong_plugin_protocol"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"kong-go-plugins/internal/transcript"
)

// TestLive runs the recorded plugins on go-pdk's own server: both sides of the conversation and the use of connections
// are those of the recordings.
func TestLive(t *testing.T) {
	t.Parallel() // 14 takes ten seconds
	answers := readAnswers(t)
	for _, plugin := range []string{"tplug", "bad", "probe"} {
		b := newBench(t, plugin, onGoPDK)
		for _, name := range recordings(plugin) {
			t.Run(name, func(t *testing.T) {
				got, frames := b.live(t, name)
				recorded, err := transcript.Load(name)
				require.NoError(t, err)
				switch {
				case requests[name[:2]].again: // which of the two is first at each step is chance
					assert.ElementsMatch(t, texts(recordedEvents(t, recorded)), texts(seenEvents(t, frames)))
				case name[:2] == "17": // 100 repeats are too many to compare
					want := recordedConversations(t, recorded)
					assert.Equal(t, want, seenConversations(t, frames)[:len(want)])
					assert.GreaterOrEqual(t, b.Stats().Retries, int64(len(want)))
				case name[:2] == "14":
					// What the recorder, which died with the plugin, could not see: Kong sends the event again, and then the
					// log event, to a process that is ending. How far either comes is chance; nothing is answered.
					got := seenConversations(t, frames)
					assert.Equal(t, recordedConversations(t, recorded), got[:1])
					for _, c := range got[1:] {
						assert.Empty(t, conversations{c}.withoutStarts()[0])
					}
				case name[:2] == "15" || name[:2] == "16":
					// Numbers depend on that chance too.
					assert.Equal(t, recordedConversations(t, recorded).withoutStarts(), seenConversations(t, frames).withoutStarts())
				default:
					assert.Equal(t, recordedConversations(t, recorded), seenConversations(t, frames))
				}
				if want, known := answers[name[:2]]; known {
					got.compare(t, want)
				}
			})
		}
	}
}

// What our server does otherwise than go-pdk's, on purpose, by recording.
var (
	panicText  = "our server says that a handler panicked and ends its event with Exit(500); go-pdk's dies"                    // read-only
	refuseText = "our server refuses an argument that cannot be sent before it sends a byte; go-pdk's loses step, then closes" // read-only
)

// TestLiveOnOurServer runs the same plugins on internal/pluginserver: the same calls with the same arguments and
// replies in the same order in each event.
func TestLiveOnOurServer(t *testing.T) {
	t.Parallel() // 14 takes ten seconds
	answers := readAnswers(t)
	for _, plugin := range []string{"tplug", "bad", "probe"} {
		b := newBench(t, plugin, onOurs)
		for _, name := range recordings(plugin) {
			t.Run(name, func(t *testing.T) {
				got, frames := b.live(t, name)
				recorded, err := transcript.Load(name)
				require.NoError(t, err)
				want, events := recordedEvents(t, recorded), seenEvents(t, frames)
				switch name[:2] {
				case "13":
					assert.ElementsMatch(t, texts(want), texts(events))
				case "14":
					require.Len(t, events, 2, panicText)
					access := events[0]
					require.Greater(t, len(access.calls), 2, panicText)
					rest := access.calls[len(access.calls)-2:]
					access.calls = access.calls[:len(access.calls)-2]
					assert.Equal(t, want[0].text(), access.text())
					assert.Contains(t, rest[0], "kong.log.err")
					assert.Contains(t, rest[0], "handler panicked in access")
					assert.Contains(t, rest[1], "kong.response.exit")
					assert.Contains(t, rest[1], `"status":500`)
					assert.Contains(t, events[1].text(), `"status":500`, "the log event follows")
					assert.Equal(t, "HTTP/1.1 500 Internal Server Error", got.status)
					return
				case "17":
					require.Len(t, events, 1, refuseText)
					assert.Equal(t, want[0].calls[:1], events[0].calls, refuseText)
					assert.Zero(t, b.Stats().Retries)
					assert.Equal(t, "HTTP/1.1 200 OK", got.status)
					return
				default:
					assert.Equal(t, texts(want), texts(events))
				}
				if want, known := answers[name[:2]]; known {
					got.compare(t, want)
				}
			})
		}
		assert.Equal(t, wantedFailures(plugin), b.Stats().Failed, "requests that a plugin server failed: 11 asks in a wrong phase")
	}
}

func wantedFailures(plugin string) int64 {
	if plugin == "tplug" {
		return 1
	}
	return 0
}

// live sends the request of a recording and returns the answer and the frames that came of it.
func (b *bench) live(t *testing.T, name string) (answer, []seen) {
	t.Helper()
	q := requests[name[:2]]
	b.take()
	second := make(chan error, 1)
	if q.again {
		go func() {
			_, err := q.send(b.addr())
			second <- err
		}()
	}
	got, err := q.send(b.addr())
	require.NoError(t, err)
	if q.again {
		require.NoError(t, <-second)
	}
	b.idle()
	frames := b.take()
	if name[:2] == "14" { // the process may have died, and is started again
		require.Eventually(t, func() bool { return b.PluginPID(q.plugin) != 0 }, patience, 5*time.Millisecond)
		b.ready()
	}
	return got, frames
}

// Conversations are the frames of each connection, in the order in which the connections were first used.
type conversations [][]string

var sequence = regexp.MustCompile(`"sequence":"\d+"`) // read-only

// withoutStarts is without connections' beginnings and ends, starts of instances and the calls' numbers.
func (c conversations) withoutStarts() conversations {
	out := make(conversations, len(c))
	for i, frames := range c {
		out[i] = []string{}
		for _, f := range frames {
			switch {
			case strings.HasSuffix(f, " "+transcript.Connect), strings.HasSuffix(f, " "+transcript.Close):
			case strings.Contains(f, "cmdStartInstance"), strings.Contains(f, "instanceStatus"):
			default:
				out[i] = append(out[i], sequence.ReplaceAllString(f, `"sequence":"N"`))
			}
		}
	}
	return out
}

func recordedConversations(t *testing.T, frames []transcript.Frame) conversations {
	t.Helper()
	var s []seen
	for _, f := range frames {
		s = append(s, seen{int64(f.Conn), f.Dir == transcript.ToPlugin, f.Kind, f.Method, string(f.Payload())})
	}
	return seenConversations(t, s)
}

func seenConversations(t *testing.T, frames []seen) conversations {
	t.Helper()
	var out conversations
	at := map[int64]int{}
	for _, f := range frames {
		i, known := at[f.conn]
		if !known {
			if f.kind == transcript.Close {
				continue // an idle connection that ended with its process
			}
			i = len(out)
			at[f.conn] = i
			out = append(out, nil)
		}
		dir := "<"
		if f.toPlugin && f.kind != transcript.Connect && f.kind != transcript.Close {
			dir = ">"
		}
		out[i] = append(out[i], dir+" "+normalFrame(f.kind, f.method, []byte(f.data)))
	}
	return out
}

// An event is one as it was answered: its phase and its calls, each with arguments and reply.
type event struct {
	phase string
	calls []string
}

func (e event) text() string { return e.phase + "\n" + strings.Join(e.calls, "\n") }

func texts(events []event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = e.text()
	}
	return out
}

func recordedEvents(t *testing.T, frames []transcript.Frame) []event {
	t.Helper()
	var s []seen
	for _, f := range frames {
		s = append(s, seen{int64(f.Conn), f.Dir == transcript.ToPlugin, f.Kind, f.Method, string(f.Payload())})
	}
	return seenEvents(t, s)
}

func seenEvents(t *testing.T, frames []seen) []event {
	t.Helper()
	var events []*event
	open := map[int64]*event{}
	for _, f := range frames {
		e := open[f.conn]
		switch f.kind {
		case transcript.Call:
			var call kong_plugin_protocol.RpcCall
			require.NoError(t, proto.Unmarshal([]byte(f.data), &call))
			if h := call.GetCmdHandleEvent(); h != nil {
				e = &event{phase: h.EventName}
				events = append(events, e)
				open[f.conn] = e
			}
		case transcript.Args:
			e.calls = append(e.calls, fmt.Sprintf("%s %s", f.method, normalMessage(f.kind, f.method, []byte(f.data))))
		case transcript.Reply:
			e.calls[len(e.calls)-1] += " -> " + normalMessage(f.kind, f.method, []byte(f.data))
		case transcript.End:
			delete(open, f.conn)
		}
	}
	out := make([]event, 0, len(events))
	for _, e := range events {
		out = append(out, *e)
	}
	return slices.Clip(out)
}
