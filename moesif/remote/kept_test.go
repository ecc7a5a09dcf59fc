package remote

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// keeping returns a Source that keeps in folder and has not started; c may be nil.
func keeping(folder string, c *fakeCollector, lines *said) *Source {
	var client *http.Client
	if c != nil {
		client = &http.Client{Transport: c}
	}
	return NewSource(Options{Endpoint: "https://collector.test", ApplicationID: testID, Client: client, KeepIn: folder, Report: lines.report})
}

const closedDoor = `[{"_id":"r","type":"user","block":true,"response":{"status":403}}]`

// fill fetches both documents once, so that folder holds them.
func fill(t *testing.T, folder string) {
	t.Helper()
	c, lines := newFakeCollector(), &said{}
	c.set("/v1/config", 200, `{"user_rules":{"u":[{"rules":"r"}]}}`, "ETag", `"e"`, configTagHeader, "c1", rulesTagHeader, "r1")
	c.set("/v1/rules", 200, closedDoor, rulesTagHeader, "r1")
	s := keeping(folder, c, lines)
	s.poll(t.Context())
	require.Empty(t, lines.all())
	require.True(t, s.Snapshot().Govern(&Request{User: "u"}).Blocked)
}

func kept(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// A restart while the collector is down enforces what was in force before.
func TestRestartDuringAnOutage(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "made", "by us")
	fill(t, folder)

	names := kept(t, folder)
	require.Len(t, names, 2)
	for _, name := range names {
		assert.NotContains(t, name, testID)
		info, err := os.Stat(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.Equal(t, fs.FileMode(0o600), info.Mode())
		content, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err)
		assert.NotContains(t, string(content), testID)
	}
	info, err := os.Stat(folder)
	require.NoError(t, err)
	assert.Equal(t, fs.FileMode(0o700), info.Mode().Perm())

	hourAgo := time.Now().Add(-time.Hour)
	for _, name := range names {
		require.NoError(t, os.Chtimes(filepath.Join(folder, name), hourAgo, hourAgo))
	}
	c, lines := newFakeCollector(), &said{}
	c.set("/v1/config", 0, "")
	s := keeping(folder, c, lines)
	s.Start()
	assert.True(t, s.Snapshot().Known(), "when Start returns")
	assert.True(t, s.Snapshot().Govern(&Request{User: "u"}).Blocked)
	age := gathered(t, s.options.Metrics)["moesif_config_age_seconds"]
	assert.InDelta(t, 3600, age, 60)
	s.Close()

	// The versions are kept, too: nothing is fetched twice.
	c = newFakeCollector()
	c.set("/v1/config", 200, `{"sample_rate":1}`, "ETag", `"e"`, configTagHeader, "c1", rulesTagHeader, "r1")
	s = keeping(folder, c, lines)
	s.load(&s.config)
	s.load(&s.rules)
	s.poll(t.Context())
	config, rules := c.asked()
	require.Len(t, config, 1)
	assert.Equal(t, `"e"`, config[0].etag)
	assert.Empty(t, rules)
	assert.False(t, s.tags[0].saw("c1"))
	info, err = os.Stat(s.keptPath(&s.config))
	require.NoError(t, err)
	assert.WithinDuration(t, time.Now(), info.ModTime(), time.Minute, "it was confirmed")
}

// Files of another application or endpoint are not ours.
func TestApplicationsDoNotShare(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fill(t, folder)
	for _, o := range []Options{{Endpoint: "https://collector.test", ApplicationID: "x" + testID, KeepIn: folder}, {Endpoint: "https://other.test", ApplicationID: testID, KeepIn: folder}} {
		s := NewSource(o)
		s.load(&s.config)
		s.load(&s.rules)
		assert.False(t, s.config.have)
		assert.False(t, s.rules.have)
	}
}

// A file that is damaged in any byte is not used, and replaced.
func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fill(t, folder)
	s := keeping(folder, newFakeCollector(), &said{})
	path := s.keptPath(&s.rules)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	broken := [][]byte{nil, []byte("\n"), []byte("{}\n"), []byte(`{"format":2}` + "\n[]"), append(good[:len(good):len(good)], 'x')}
	for i := range good {
		b := append([]byte(nil), good...)
		b[i] ^= 4
		broken = append(broken, b, good[:i])
	}
	for _, content := range broken {
		h, body, err := splitKept(content)
		if err == nil { // in the versions, which only cost a fetch
			assert.Equal(t, closedDoor, string(body))
			assert.Equal(t, keptFormat, h.Format)
		}
	}
	lines := &said{}
	require.NoError(t, os.WriteFile(path, good[:len(good)-1], 0o600))
	s = keeping(folder, newFakeCollector(), lines)
	s.load(&s.config)
	s.load(&s.rules)
	assert.Equal(t, "rules kept on disk: the file is damaged; it is fetched anew", lines.all())
	assert.False(t, s.Snapshot().Known())
	assert.NotNil(t, s.Snapshot().config)
	s.poll(t.Context())
	_, body, _, err := readKept(path, maxRulesBytes)
	require.NoError(t, err)
	assert.Equal(t, "[]", string(body))
}

// A folder that cannot be written costs a line, and nothing else.
func TestFolderThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	lines := &said{}
	s := keeping(filepath.Join(file, "below"), newFakeCollector(), lines)
	s.load(&s.config)
	s.poll(t.Context())
	assert.True(t, s.Snapshot().Known())
	assert.Contains(t, lines.all(), "config cannot be kept: not a directory; after a restart it has to be fetched first")
}

// What is not on disk, because the disk was full or somebody has cleaned up there, is written with the next poll, though
// the collector has nothing new.
func TestMissingFilesAreWrittenAgain(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "remote")
	c, lines := newFakeCollector(), &said{}
	c.set("/v1/config", 200, `{"user_rules":{"u":[{"rules":"r"}]}}`, "ETag", `"e"`, configTagHeader, "c1", rulesTagHeader, "r1")
	c.set("/v1/rules", 200, closedDoor, "ETag", `"f"`, rulesTagHeader, "r1")
	require.NoError(t, os.WriteFile(folder, nil, 0o600))
	s := keeping(folder, c, lines)
	s.poll(t.Context())
	assert.Contains(t, lines.all(), "cannot be kept")
	require.NoError(t, os.Remove(folder))
	for _, what := range []string{"the disk is there at last", "somebody has cleaned up"} {
		s.poll(t.Context())
		restarted := keeping(folder, nil, lines)
		restarted.load(&restarted.config)
		restarted.load(&restarted.rules)
		assert.True(t, restarted.Snapshot().Govern(&Request{User: "u"}).Blocked, what)
		require.NoError(t, os.RemoveAll(folder))
	}
	s.poll(t.Context())
	c.asked()
	s.poll(t.Context())
	config, rules := c.asked()
	require.Len(t, config, 1)
	assert.Equal(t, `"e"`, config[0].etag, "what is there is asked for no more")
	assert.Empty(t, rules)
}

func TestLeftovers(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	fill(t, folder)
	s := keeping(folder, nil, &said{})
	path := s.keptPath(&s.rules)
	old, fresh, foreign := path+".1.tmp", path+".2.tmp", filepath.Join(folder, "foreign.1.tmp")
	for _, name := range []string{old, fresh, foreign} {
		require.NoError(t, os.WriteFile(name, nil, 0o600))
	}
	for _, name := range []string{old, foreign} {
		require.NoError(t, os.Chtimes(name, time.Time{}, time.Now().Add(-2*leftoverAfter)))
	}
	s.load(&s.rules)
	names := strings.Join(kept(t, folder), " ")
	assert.NotContains(t, names, filepath.Base(old))
	assert.Contains(t, names, filepath.Base(fresh))
	assert.Contains(t, names, filepath.Base(foreign))
}

// Two processes that overlap during a reload never leave half a file.
func TestFilesAreReplacedAsAWhole(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "rules")
	versions := []fetched{{body: []byte("[]"), tag: "1"}, {body: []byte("[" + strings.Repeat(" ", 1<<16) + "]"), tag: "2"}}
	require.NoError(t, replaceFile(path, joinKept(versions[0])))
	var writers sync.WaitGroup
	for _, v := range versions {
		writers.Go(func() {
			for range 20 {
				assert.NoError(t, replaceFile(path, joinKept(v)))
			}
		})
	}
	for range 200 {
		_, _, _, err := readKept(path, maxRulesBytes)
		assert.NoError(t, err)
	}
	writers.Wait()
	assert.Equal(t, []string{"rules"}, kept(t, filepath.Dir(path)))
}
