package cli

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseMoment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"90d", today.AddDate(0, 0, 90)},
		{"48h", today.AddDate(0, 0, 2)},
		{"1h30m", today.Add(90 * time.Minute)},
		{"0", today},
		{"2027-01-31", time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)},
		{"2027-01-31T12:00:00+02:00", time.Date(2027, 1, 31, 10, 0, 0, 0, time.UTC)},
		{"never", time.Unix(0, 0)},
		{"", time.Unix(0, 0)},
	} {
		got, err := parseMoment("-expires", c.text, today)
		require.NoError(t, err, c.text)
		assert.Equal(t, c.want.Unix(), got, c.text)
	}
	for _, text := range []string{"1y", "d", "99999999d", "-1d", "-2h", "2027-13-01", "1969-01-01", "tomorrow", "1893456000", "1d2h"} {
		_, err := parseMoment("-expires", text, today)
		assert.ErrorContains(t, err, "-expires", text)
	}
}

// A time is one that every store takes, or it is refused.
func FuzzParseMoment(f *testing.F) {
	for _, text := range []string{"90d", "48h", "2027-01-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59-14:00", "never", "-1d", "100000d", "1e9h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := parseExpiry("-expires", text, today)
		if err == nil && at != 0 {
			assert.Greater(t, at, today.Unix())
			assert.LessOrEqual(t, at, int64(lastMoment))
		}
	})
}

// What is exported and imported again is as it was.
func TestExportAndImport(t *testing.T) {
	t.Parallel()
	from, to := filepath.Join(t.TempDir(), "keys.jsonl"), filepath.Join(t.TempDir(), "keys.jsonl")
	do := func(path, stdin string, args ...string) string {
		var out, notes bytes.Buffer
		status := run(append(args, "-store", path), streams{strings.NewReader(stdin), &out, &notes, func() time.Time { return today }, outlives})
		require.Equal(t, 0, status, notes.String())
		return out.String()
	}
	do(from, "", "create", "-consumer", "alice", "-groups", "gold,yes", "-scopes", "method:GET", "-cidrs", "::1,10.0.0.0/8", "-tags", "null,1e3", "-expires", "9d", "-not-before", "1d")
	do(from, "", "create", "-consumer", "123", "-create-consumer", "-custom-id", "no")
	do(from, "", "create", "-consumer", "5d6e0000-0000-8000-8000-000000000001", "-create-consumer")
	do(from, "a-chosen-key: {of} many characters", "create", "-consumer", "ünï: \"#", "-key-stdin")
	want := do(from, "", "list", "-o", "json")
	for _, form := range []string{"table", "json"} {
		other := filepath.Join(t.TempDir(), "keys.jsonl")
		do(other, do(from, "", "export", "-o", form), "import", "-from", "-", "-with-consumers")
		assert.Equal(t, want, do(other, "", "list", "-o", "json"), form)
	}
	do(to, "", "import", "-from", from, "-with-consumers")
	assert.Equal(t, want, do(to, "", "list", "-o", "json"))
}
