package referee

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/transcript"
)

// Every recording is played to kongdev, those of one plugin to one gateway, in their order: sequence numbers, instances
// and the pool of connections go on from one to the next as they did in front of Kong.
//
// 14 takes ten seconds: the plugin has died, the repeat is sent on a pooled connection that Kong does not know to be
// dead, and the Lua error of that leaves the instance claimed by nobody. The log event waits for it as long as Kong
// does, as the request of 15 did for the rest of that time (its X-Kong-Proxy-Latency was 7717).
func TestRecordings(t *testing.T) {
	t.Parallel() // 14 takes ten seconds
	answers := readAnswers(t)
	played := 0
	used := make([]bool, len(acceptedDifferences))
	for _, plugin := range []string{"tplug", "bad", "probe"} {
		b := newBench(t, plugin, "")
		p := newPlayer(t, b, plugin)
		for _, name := range recordings(plugin) {
			played++
			if !t.Run(name, func(t *testing.T) { b.replay(t, p, name, answers, used) }) {
				break // the next ones go on from here
			}
		}
	}
	assert.Equal(t, 28, played)
	for i, is := range used {
		assert.Truef(t, is, "this difference is not there any more, take it out of the list: %s", acceptedDifferences[i].what)
	}
}

func (b *bench) replay(t *testing.T, p *player, name string, answers map[string]answer, used []bool) {
	frames, err := transcript.Load(name)
	require.NoError(t, err)
	q := requests[name[:2]]
	before := map[mark]func(){}
	second := make(chan error, 1)
	switch name[:2] {
	case "13": // the second request comes while the first one's handler runs
		before[mark{6, 1}] = func() {
			go func() {
				_, err := q.send(b.addr())
				second <- err
			}()
		}
		frames = moved(t, frames, mark{5, 110}, mark{6, 15}) // the first one's log event has number 40
		frames = moved(t, frames, mark{6, 35}, mark{5, 126}) // the second one's log event finds connection 6 idle
	case "14":
		before[mark{6, 66}] = func() {
			_ = p.conns[5].Close() // a process ends in one moment, this test does not: the idle connection first
			p.die()
		}
	case "15":
		p.start()
	}
	done := make(chan struct{})
	var differences []string
	var playing error
	go func() {
		defer close(done)
		differences, playing = p.play(frames, before)
		if playing != nil || q.plugin == "bad" { // 17 ends here; the repeats would not
			p.die()
		}
	}()
	got, err := q.send(b.addr())
	<-done
	require.NoError(t, playing)
	require.NoError(t, err)
	if q.again {
		require.NoError(t, <-second)
	}
	b.idle()
	assert.Empty(t, differences)
	if want, known := answers[name[:2]]; known {
		got.compare(t, want)
		for i, is := range needed(want, got) {
			used[i] = used[i] || is
		}
	}
}
