package pluginserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func TestBackoff(t *testing.T) {
	ms := func(list ...int) (d []time.Duration) {
		for _, n := range list {
			d = append(d, time.Duration(n)*time.Millisecond)
		}
		return d
	}
	for _, tc := range []struct {
		name           string
		accepted, want []time.Duration
	}{
		{"never ready", ms(0, 0, 0, 0, 0, 0, 0, 0), ms(0, 50, 100, 200, 400, 800, 1000, 1000)},
		{"lived a while each time", ms(500, 500, 500), ms(0, 0, 0)},
		{"lived a while once", ms(0, 0, 0, 200, 0), ms(0, 50, 100, 0, 50)},
		{"just too short", ms(199, 199), ms(0, 50)},
	} {
		var b backoff
		var got []time.Duration
		for _, d := range tc.accepted {
			got = append(got, b.died(d))
		}
		assert.Equal(t, tc.want, got, tc.name)
	}
}

// TestRestartsOfAWorkerThatCannotStart runs a supervisor whose every start of a process goes wrong, in virtual time.
func TestRestartsOfAWorkerThatCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sink, log := logOptions{}.open(io.Discard)
		s := newSupervisor(demoPlugin("1.0.0"), options{name: "demo"}, nil, sink, log)
		begin := time.Now()
		var starts []time.Duration
		s.spawn = func(*program) (*workerProcess, error) {
			starts = append(starts, time.Since(begin))
			return nil, errors.New("no such process")
		}
		ended := make(chan struct{})
		go func() {
			s.run(nil, fileID{}, &program{fd: -1})
			close(ended)
		}()
		time.Sleep(1900 * time.Millisecond) // virtual; shortly before the policy answers
		s.post(func() { s.stop("the test is over", 0) })
		<-ended
		synctest.Wait()
		want := []time.Duration{0, 0, 50, 150, 350, 750, 1550}
		for i := range want {
			want[i] *= time.Millisecond
		}
		assert.Equal(t, want, starts)
		assert.False(t, s.post(func() {}), "nothing is done after the end")
		require.NoError(t, sink.close(time.Second))
	})
}

func TestInstanceTable(t *testing.T) {
	var table instanceTable
	assert.True(t, table.put(1, []byte("one")))
	assert.True(t, table.put(1, []byte("other")), "an id is told again")
	assert.True(t, table.put(2, nil))
	assert.Equal(t, 5, table.bytes)
	assert.False(t, table.put(3, make([]byte, maxControlPayload+1)), "no message could carry it")
	assert.Len(t, table.configs, 2)
	table.remove(1)
	table.remove(7)
	assert.Zero(t, table.bytes)
	assert.True(t, table.put(3, make([]byte, maxTableBytes/2)))
	assert.False(t, table.put(4, make([]byte, maxTableBytes/2+1)), "no room")
}

// A worker that cannot be told the whole table at once would be killed, and the next one too.
func TestFullTableFitsIntoTheControlChannel(t *testing.T) {
	var table instanceTable
	for id := range int32(maxTableInstances + 10) {
		table.put(id, []byte("{}"))
	}
	require.Len(t, table.configs, maxTableInstances)
	control, theirs, err := controlPair()
	require.NoError(t, err)
	defer theirs.Close()
	defer control.close(0)
	w := workerProcess{control: control}
	require.True(t, w.begin(workerSetup{Socket: "/s"}, &table))
}

func TestConnectionIsGivenWithACopy(t *testing.T) {
	control, theirs, err := controlPair()
	require.NoError(t, err)
	defer theirs.Close()
	defer control.close(0)
	peer, err := openControl(theirs)
	require.NoError(t, err)
	defer peer.close(0)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer closeFD(pair[1])
	conn, err := connOf(pair[0])
	require.NoError(t, err)
	defer conn.Close()

	w := worker{control: control, orphaned: make(chan struct{}), conns: map[uint32]openConn{7: {conn: conn, held: true}}}
	w.give(7) // the supervisor may have dropped its copy: no room in its table of files
	m, err := peer.receive()
	require.NoError(t, err)
	require.Equal(t, msgGive, m.kind)
	require.GreaterOrEqual(t, m.fd, 0)
	closeFD(m.fd)
}

func TestPanicOfDrainIsAnError(t *testing.T) {
	logs := &lines{}
	w := worker{log: slog.New(slog.NewTextHandler(logs, nil)), plugin: Plugin{Drain: func(context.Context) error { panic("full") }}}
	w.drainPlugin()
	require.Contains(t, logs.String(), "not everything could be sent before the end")
	require.Contains(t, logs.String(), "panic: full")
}

func TestMayFollow(t *testing.T) {
	dump := func(change func(*Plugin, *options)) pluginDump {
		p, o := demoPlugin("1.0.0"), options{name: "demo", socket: "/k/demo.socket", phases: []string{"access"}}
		change(&p, &o)
		d, err := parseDump(dumpOf(p, o))
		require.NoError(t, err)
		return d
	}
	have := dump(func(*Plugin, *options) {})
	for _, tc := range []struct {
		want   string
		change func(*Plugin, *options)
	}{
		{"", func(p *Plugin, _ *options) { p.Version = "1.0.1" }},
		{`it is the plugin "two", not "demo"`, func(_ *Plugin, o *options) { o.name = "two" }},
		{"its phases are access,log, not access; Kong must read it: use kong reload", func(_ *Plugin, o *options) { o.phases = []string{"access", "log"} }},
		{"its priority is 11, not 10", func(p *Plugin, _ *options) { p.Priority++ }},
		{"its schema differs", func(p *Plugin, _ *options) {
			p.Schema.Fields = slices.Clone(p.Schema.Fields)
			p.Schema.Fields[0].Required = true
		}},
	} {
		err := have.mayFollow(dump(tc.change))
		if tc.want == "" {
			assert.NoError(t, err)
		} else {
			assert.ErrorContains(t, err, tc.want)
		}
	}
	for _, text := range []string{"", "{}", "[]", `{"Plugins":[]}`, `{"Plugins":[{},{}]}`, "usage: x"} {
		_, err := parseDump([]byte(text))
		assert.Error(t, err, text)
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(dumpOf(demoPlugin("1.0.0"), options{name: "demo", phases: []string{"access"}}))
	f.Add([]byte(`{"Plugins":[{"Name":1}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := parseDump(text)
		if err == nil {
			require.NoError(t, d.mayFollow(d), "every executable may follow itself")
		}
	})
}
