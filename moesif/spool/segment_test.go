package spool

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var entered = time.UnixMilli(1790000000000)

// records encodes events numbered from first, and says where each begins.
func records(first uint64, events ...string) (b []byte, at []int) {
	for i, e := range events {
		at = append(at, len(b))
		b = appendRecord(b, record{number: first + uint64(i), at: entered, event: []byte(e)})
	}
	return b, at
}

func TestRecord(t *testing.T) {
	for _, event := range []string{"", "{}", strings.Repeat("x", 3*readBytes)} {
		b, _ := records(7, event)
		r, size, err := parse(append(b, "more"...))
		require.NoError(t, err)
		assert.Equal(t, len(b), size)
		assert.Equal(t, uint64(7), r.number)
		assert.True(t, entered.Equal(r.at))
		assert.Equal(t, event, string(r.event))
		for n := range min(len(b), 200) {
			_, _, err := parse(b[:n])
			assert.ErrorIs(t, err, errShort)
		}
	}
}

// Two records that follow one another are damaged, one in its header, one in its event, where one read ends and the next one
// begins: nothing is read for ever.
func TestDamageBetweenTwoReads(t *testing.T) {
	var events []string
	for i := range 8 {
		events = append(events, strings.Repeat(string(rune('a'+i)), readBytes/4-100))
	}
	body, at := records(1, events...)
	body[at[2]] ^= 1            // its header
	body[at[3]+headerSize] ^= 1 // its event; the read ends within the next one
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, folderPrefix+"a"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, folderPrefix+"a", segmentName(1)), append([]byte(magic), body...), 0o600))
	l := openLog(t, dir)
	var names []string
	for _, event := range l.all(t, true) {
		names = append(names, event[:1])
	}
	assert.Equal(t, []string{"a", "b", "e", "f", "g", "h"}, names)
	assert.Equal(t, map[string]int{Corrupt: 2}, l.losses())
}

// What damage to a segment of five events costs.
func TestDamage(t *testing.T) {
	const first = 10
	events := []string{"zero", "one", "two", "three", "four"}
	body, at := records(first, events...)
	whole := append([]byte(magic), body...)
	edge := func(i int) int { return len(magic) + at[i] }
	flip := func(i int) []byte {
		b := bytes.Clone(whole)
		b[i] ^= 0x10
		return b
	}
	without := func(from, to int) []byte { return append(bytes.Clone(whole[:from]), whole[to:]...) }
	for _, c := range []struct {
		name    string
		content []byte
		want    string // the events that are read
	}{
		{"whole", whole, "zero one two three four"},
		{"empty", nil, ""},
		{"first line only", []byte(magic), ""},
		{"half a first line", []byte(magic[:7]), ""},
		{"first line damaged", flip(2), "zero one two three four"},
		{"no first line", whole[len(magic):], "zero one two three four"},
		{"tail torn in the event", whole[:len(whole)-2], "zero one two three"},
		{"tail torn in the header", whole[:edge(4)+5], "zero one two three"},
		{"cut between records", whole[:edge(4)], "zero one two three"},
		{"bit in an event", flip(edge(2) + headerSize), "zero one three four"},
		{"bit in a length", flip(edge(2)), "zero one three four"},
		{"bit in a checksum", flip(edge(2) + 4), "zero one three four"},
		{"bit in a number", flip(edge(2) + 8), "zero one three four"},
		{"bit in a time", flip(edge(2) + 16), "zero one three four"},
		{"bit in the header's checksum", flip(edge(2) + 25), "zero one three four"},
		{"bit in the first", flip(edge(0)), "one two three four"},
		{"bit in the last", flip(edge(4)), "zero one two three"},
		{"bytes missing", without(edge(1)+3, edge(2)+9), "zero three four"},
		{"a record missing", without(edge(1), edge(2)), "zero two three four"},
		{"zeros at the end", append(bytes.Clone(whole), make([]byte, 5000)...), "zero one two three four"},
		{"zeros in between", slices.Concat(whole[:edge(2)], make([]byte, 2*readBytes), whole[edge(2):]), "zero one two three four"},
		{"text at the end", append(bytes.Clone(whole), strings.Repeat("text", 100)...), "zero one two three four"},
		{"twice", append(bytes.Clone(whole), body...), "zero one two three four"},
		{"text only", []byte(strings.Repeat("a foreign file\n", 100)), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), segmentName(first))
			require.NoError(t, os.WriteFile(path, c.content, 0o600))
			var got []string
			_, err := Each(path, func(event []byte, at time.Time) error {
				assert.True(t, entered.Equal(at))
				got = append(got, string(event))
				return nil
			})
			require.NoError(t, err)
			assert.Equal(t, strings.Fields(c.want), append([]string{}, got...))

			// The same in the middle of a log: what is lost is counted exactly.
			dir := t.TempDir()
			folder := filepath.Join(dir, folderPrefix+"x")
			require.NoError(t, os.Mkdir(folder, 0o700))
			before, _ := records(first-1, "before")
			after, _ := records(first+5, "after")
			for number, content := range map[uint64][]byte{first - 1: append([]byte(magic), before...), first: c.content, first + 5: append([]byte(magic), after...)} {
				require.NoError(t, os.WriteFile(filepath.Join(folder, segmentName(number)), content, 0o600))
			}
			l := openLog(t, dir)
			want := slices.Concat([]string{"before"}, strings.Fields(c.want), []string{"after"})
			assert.Equal(t, want, l.all(t, true))
			assert.Equal(t, 7-len(want), l.losses()[Corrupt])
			left, _ := l.Close(t.Context())
			assert.Zero(t, left)
			assert.Empty(t, files(t, dir))
		})
	}
}

// A process that runs may remove what it has delivered while others look.
func TestEachWhileSegmentsGo(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i := range uint64(3) {
		folder := filepath.Join(dir, fmt.Sprint(folderPrefix, i))
		require.NoError(t, os.Mkdir(folder, 0o700))
		body, _ := records(1, fmt.Sprint("of ", i))
		paths = append(paths, filepath.Join(folder, segmentName(1)))
		require.NoError(t, os.WriteFile(paths[i], append([]byte(magic), body...), 0o600))
	}
	var got []string
	lost, err := Each(dir, func(event []byte, _ time.Time) error {
		got = append(got, string(event))
		_ = os.Remove(paths[1])
		return os.RemoveAll(filepath.Dir(paths[2]))
	})
	require.NoError(t, err)
	assert.Zero(t, lost)
	assert.Equal(t, []string{"of 0"}, got)
	_, err = Each(filepath.Join(dir, "absent"), nil)
	assert.ErrorIs(t, err, os.ErrNotExist)
}

// Damage anywhere in a large segment costs the events it hits.
func TestRandomDamage(t *testing.T) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 3))
		dir := t.TempDir()
		folder := filepath.Join(dir, folderPrefix+"x")
		require.NoError(t, os.Mkdir(folder, 0o700))
		content := []byte(magic)
		var starts []int
		for i := range 1000 {
			starts = append(starts, len(content))
			content = appendRecord(content, record{number: uint64(i + 1), at: entered, event: fmt.Appendf(nil, "%4d %s", i, strings.Repeat("x", r.IntN(2000)))})
		}
		hit := map[int]bool{}
		for range 1 + r.IntN(20) {
			i := len(magic) + r.IntN(starts[999]-len(magic))
			content[i] ^= byte(1 + r.IntN(255))
			n, found := slices.BinarySearch(starts, i)
			if !found {
				n--
			}
			hit[n] = true
		}
		require.NoError(t, os.WriteFile(filepath.Join(folder, segmentName(1)), content, 0o600))
		l := openLog(t, dir)
		got := l.all(t, true)
		var want []string
		for i := range 1000 {
			if !hit[i] {
				want = append(want, fmt.Sprintf("%4d", i))
			}
		}
		for i := range got {
			got[i] = got[i][:4]
		}
		assert.Equal(t, want, got)
		assert.Equal(t, len(hit), l.losses()[Corrupt])
	}
}

func TestAnotherVersionsSegmentStays(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, folderPrefix+"x")
	require.NoError(t, os.Mkdir(folder, 0o700))
	content := magicAny + "2\nsomething else"
	require.NoError(t, os.WriteFile(filepath.Join(folder, segmentName(1)), []byte(content), 0o600))
	l := openLog(t, dir)
	want := l.add(t, "a", 3)
	assert.Equal(t, want, l.all(t, true))
	assert.Contains(t, l.text(), "written by another version: run that version once more, or remove the files")
	l.Close(t.Context())
	b, err := os.ReadFile(filepath.Join(folder, segmentName(1)))
	require.NoError(t, err)
	assert.Equal(t, content, string(b))
}

// Any bytes: no panic, and every event that is returned was appended whole; reading again gives the same.
func FuzzSegment(f *testing.F) {
	body, _ := records(1, "zero", "one", "", `{"request":{}}`)
	f.Add([]byte(magic), uint(0), byte(0))
	f.Add(append([]byte(magic), body...), uint(20), byte(1))
	f.Add(append([]byte(magic), body[:len(body)-1]...), uint(30), byte(0))
	f.Add(slices.Concat([]byte(magic), make([]byte, 300), body), uint(0), byte(0))
	f.Add([]byte(magicAny+"2\n"), uint(0), byte(0))
	f.Fuzz(func(t *testing.T, content []byte, at uint, flip byte) {
		appended := map[string]bool{}
		own, _ := records(1, "first", `{"second":true}`, strings.Repeat("third", 50), "fourth")
		for _, e := range []string{"first", `{"second":true}`, strings.Repeat("third", 50), "fourth"} {
			appended[e] = true
		}
		for i := range content { // whatever whole record the fuzzer makes itself
			if r, _, err := parse(content[i:]); err == nil {
				appended[string(r.event)] = true
			}
		}
		// Its bytes in place of some of ours, and one byte flipped.
		cut := int(at % uint(len(own)))
		b := slices.Concat([]byte(magic), own[:cut], content, own[min(cut+len(content)/2, len(own)):])
		b[int(at)%len(b)] ^= flip
		path := filepath.Join(t.TempDir(), segmentName(1))
		for _, b := range [][]byte{b, content} {
			require.NoError(t, os.WriteFile(path, b, 0o600))
			read := func() (events []string) {
				_, err := Each(path, func(event []byte, _ time.Time) error {
					events = append(events, string(event))
					return nil
				})
				if err != nil {
					require.ErrorIs(t, err, errVersion)
				}
				return events
			}
			events := read()
			for i, e := range events {
				whole := appended[e]
				for j := 0; !whole && j < len(b); j++ { // the flip or the seam may have made one
					r, _, err := parse(b[j:])
					whole = err == nil && string(r.event) == e
				}
				assert.True(t, whole, "event %d: %q", i, e)
			}
			assert.Equal(t, events, read())
		}
	})
}

// Any bytes as a position: it never hides an event that was not delivered.
func FuzzPosition(f *testing.F) {
	f.Add([]byte{}, uint64(5))
	f.Add(make([]byte, 24), uint64(0))
	f.Fuzz(func(t *testing.T, content []byte, low uint64) {
		path := filepath.Join(t.TempDir(), positionName)
		require.NoError(t, savePosition(path, 0, low))
		require.NoError(t, savePosition(path, 1, low+1))
		assert.Equal(t, max(low, low+1), loadPosition(path))
		whole, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, append(content[:min(len(content), positionSize)], whole...), 0o600))
		got := loadPosition(path)
		if len(content) >= positionSize {
			assert.GreaterOrEqual(t, got, max(low, low+1))
		}
		require.NoError(t, os.WriteFile(path, whole[:positionSize+3], 0o600))
		assert.Equal(t, low, loadPosition(path), "one whole slot is enough")
	})
}

func TestRanges(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 4))
		set := ranges{low: 1}
		model := map[uint64]bool{0: true}
		for range 60 {
			from := r.Uint64N(60)
			to := from + r.Uint64N(6)
			set.settle(from, to)
			for n := from; n < to; n++ {
				model[n] = true
			}
			low, above := uint64(0), 0
			for model[low] {
				low++
			}
			for n := range model {
				if n >= low {
					above++
				}
			}
			require.Equal(t, low, set.low)
			require.Equal(t, above, set.above())
			for n := range uint64(70) {
				require.Equal(t, model[n], set.has(n))
			}
		}
	}
}

func TestFolderNamesShowNoID(t *testing.T) {
	a := Folder("dir", "https://api.moesif.net", "secret id")
	assert.Regexp(t, `^dir/[0-9a-f]{32}$`, a)
	assert.NotEqual(t, a, Folder("dir", "https://api.moesif.net", "secret ie"))
	assert.NotEqual(t, a, Folder("dir", "https://api.moesif.nets", "ecret id"))
}
