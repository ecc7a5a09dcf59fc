package spool

import (
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A faultyDisk fails while its error is set, after writing half of what it is given.
type faultyDisk struct{ write, sync atomic.Pointer[syscall.Errno] }

func (d *faultyDisk) options(o *Options) {
	o.disk.write = func(f *os.File, b []byte) (int, error) {
		if e := d.write.Load(); e != nil {
			n, _ := f.Write(b[:len(b)/2])
			return n, &fs.PathError{Op: "write", Path: f.Name(), Err: *e}
		}
		return f.Write(b)
	}
	o.disk.sync = func(f *os.File) error {
		if e := d.sync.Load(); e != nil {
			return &fs.PathError{Op: "sync", Path: f.Name(), Err: *e}
		}
		return f.Sync()
	}
}

func errno(e syscall.Errno) *syscall.Errno { return &e }

// A disk that fails: what it was given is kept in memory, new events are refused; when it works again all goes on.
func TestWritesFail(t *testing.T) {
	for _, c := range []struct {
		errno  syscall.Errno
		remedy string
	}{
		{syscall.ENOSPC, "no space left on device: make room there, or lower spool_max_bytes"},
		{syscall.EIO, "input/output error: check the disk"},
		{syscall.EROFS, "read-only file system: set spool_dir to a folder that can be written"},
	} {
		synctest.Test(t, func(t *testing.T) {
			disk := &faultyDisk{}
			dir := t.TempDir()
			l := openLog(t, dir, disk.options)
			want := l.add(t, "a", 10)
			time.Sleep(time.Second)
			disk.write.Store(errno(c.errno))
			want = append(want, l.add(t, "b", 10)...)
			time.Sleep(time.Second)
			_, _, refusal := l.Append([]byte("refused"), time.Now(), false)
			assert.Equal(t, IO, refusal)
			assert.Contains(t, l.text(), "spool "+dir+": cannot be written, new events wait in memory only: "+c.remedy)
			assert.Equal(t, want[:10], names(l.Read(100, 1<<20)))
			assert.Equal(t, want[10:15], names(l.Read(5, 1<<20)), "what was not written is read from memory")
			time.Sleep(time.Minute)
			disk.write.Store(nil)
			time.Sleep(2 * time.Second)
			want = append(want, l.add(t, "c", 10)...)
			time.Sleep(time.Second)
			assert.Equal(t, want[15:], l.all(t, false))
			l.Close(t.Context())
			next := openLog(t, dir)
			time.Sleep(time.Second)
			assert.Equal(t, want, next.all(t, true), "half-written records do no harm")
			assert.Empty(t, next.losses())
			assert.Empty(t, l.losses())
			next.Close(t.Context())
		})
	}
}

// A disk that is full has room for a new segment's first line and for nothing else: the log goes on when there is room again.
func TestTheDiskIsFullForALongTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var full atomic.Bool
		dir := t.TempDir()
		l := openLog(t, dir, func(o *Options) {
			o.disk.write = func(f *os.File, b []byte) (int, error) {
				if full.Load() && len(b) > len(magic) {
					n, _ := f.Write(b[:len(b)/2])
					return n, &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
				}
				return f.Write(b)
			}
		})
		want := l.add(t, "a", 10)
		time.Sleep(time.Second)
		full.Store(true)
		want = append(want, l.add(t, "b", 10)...)
		time.Sleep(time.Minute)
		_, _, refusal := l.Append([]byte("refused"), time.Now(), false)
		assert.Equal(t, IO, refusal)
		assert.NotContains(t, l.text(), "file exists")
		assert.Len(t, mustGlob(t, filepath.Join(dir, "*", "*"+segmentSuffix)), 2)
		full.Store(false)
		time.Sleep(3 * time.Second)
		want = append(want, l.add(t, "c", 10)...)
		time.Sleep(time.Second)
		l.Close(t.Context())
		next := openLog(t, dir)
		time.Sleep(time.Second)
		assert.Equal(t, want, next.all(t, true))
		assert.Empty(t, l.losses())
		assert.Empty(t, next.losses())
		next.Close(t.Context())
	})
}

// The disk refuses to synchronize a segment that has nothing in it yet.
func TestSyncFailsBeforeTheFirstEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faultyDisk{}
		var l *testLog
		l = openLog(t, t.TempDir(), disk.options, func(o *Options) {
			write := o.disk.write
			o.disk.write = func(f *os.File, b []byte) (int, error) {
				if string(b) != magic && disk.sync.Load() == nil {
					disk.sync.Store(errno(syscall.EIO))
					l.sync()
				}
				return write(f, b)
			}
		})
		want := l.add(t, "a", 10)
		time.Sleep(time.Second)
		want = append(want, l.add(t, "b", 10)...)
		time.Sleep(time.Second)
		assert.Equal(t, want, l.all(t, false))
		assert.NotContains(t, l.text(), "cannot be written")
		l.Close(t.Context())
	})
}

func names(events []Event) (list []string) {
	for _, e := range events {
		list = append(list, string(e.Data))
	}
	return list
}

// The process ends while the disk fails: what only the log had is lost and counted.
func TestWritesFailUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faultyDisk{}
		l := openLog(t, t.TempDir(), disk.options)
		l.add(t, "a", 10)
		time.Sleep(time.Second)
		disk.write.Store(errno(syscall.ENOSPC))
		for range 5 {
			l.Append([]byte("b"), time.Now(), true)
		}
		left, held := l.Close(t.Context())
		assert.Equal(t, 10, left)
		assert.Zero(t, held)
		assert.Equal(t, 5, l.losses()[IO])
	})
}

func TestSyncFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &faultyDisk{}
		disk.sync.Store(errno(syscall.EIO))
		dir := t.TempDir()
		l := openLog(t, dir, disk.options)
		want := l.add(t, "a", 10)
		time.Sleep(time.Second)
		assert.Contains(t, l.text(), "what was written may not survive the end of the machine: input/output error: check the disk")
		want = append(want, l.add(t, "b", 10)...)
		time.Sleep(time.Second)
		assert.Equal(t, want, l.all(t, false), "it goes on")
		l.Close(t.Context())
		segments := 0
		for _, name := range files(t, dir) {
			if strings.HasSuffix(name, segmentSuffix) {
				segments++
			}
		}
		assert.Equal(t, 2, segments, "nothing is written behind what may be lost")
	})
}

func TestFoldersThatCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/none/spool", strings.Repeat("x", 300)} {
		synctest.Test(t, func(t *testing.T) {
			l := openLog(t, dir)
			time.Sleep(time.Second)
			_, held, refusal := l.Append([]byte("a"), time.Now(), true)
			assert.False(t, held)
			assert.Equal(t, IO, refusal)
			assert.Contains(t, l.text(), "spool "+dir+": cannot be used, events wait in memory only: ")
			left, _ := l.Close(t.Context())
			assert.Zero(t, left)
		})
	}
}

// A folder that can be used after all is used.
func TestAFolderThatComesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(dir, nil, 0o600))
		l := openLog(t, dir)
		time.Sleep(time.Minute)
		require.NoError(t, os.Remove(dir))
		time.Sleep(3 * time.Second)
		want := l.add(t, "a", 10)
		time.Sleep(time.Second)
		left, _ := l.Close(t.Context())
		assert.Equal(t, 10, left)
		next := openLog(t, dir)
		assert.Equal(t, want, next.all(t, true))
		next.Close(t.Context())
	})
}

// Somebody removes the folder of a running log: what was only there is lost, counted and said; the log goes on in a new one.
func TestTheFolderIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		l := openLog(t, dir)
		l.add(t, "a", 10)
		time.Sleep(time.Second)
		require.NoError(t, os.RemoveAll(dir))
		time.Sleep(3 * time.Second)
		assert.Equal(t, map[string]int{IO: 10}, l.losses())
		assert.Contains(t, l.text(), "spool "+dir+": was removed while it was in use")
		want := l.add(t, "b", 10)
		time.Sleep(time.Second)
		assert.Equal(t, want, l.all(t, false))
		l.Close(t.Context())
		next := openLog(t, dir)
		assert.Equal(t, want, next.all(t, true))
		next.Close(t.Context())
	})
}

// How far the log has come is written as soon as that is possible, at the end at the latest.
func TestThePositionCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := openLog(t, dir)
		want := l.add(t, "a", 10)
		time.Sleep(time.Second)
		position := filepath.Join(mustGlob(t, filepath.Join(dir, folderPrefix+"*"))[0], positionName)
		require.NoError(t, os.Remove(position))
		require.NoError(t, os.Mkdir(position, 0o700))
		var ids []ID
		for _, e := range l.Read(5, 1<<20) {
			ids = append(ids, e.ID)
		}
		l.Done(ids)
		time.Sleep(time.Minute)
		require.NoError(t, os.Remove(position))
		l.Close(t.Context())
		next := openLog(t, dir)
		assert.Equal(t, want[5:], next.all(t, true))
		next.Close(t.Context())
	})
}

// A folder that cannot be locked is spoken of, and adopted as soon as it can be.
func TestALockThatCannotBeOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := openLog(t, dir)
		want := a.add(t, "a", 10)
		time.Sleep(time.Second)
		a.Close(t.Context())
		lock := mustGlob(t, filepath.Join(dir, "*", lockName))[0]
		require.NoError(t, os.Remove(lock))
		require.NoError(t, os.Mkdir(lock, 0o700)) // permissions do not keep root away
		l := openLog(t, dir)
		time.Sleep(3 * time.Second)
		assert.Contains(t, l.text(), "spool "+dir+": some of what another process left cannot be read: is a directory")
		require.NoError(t, os.Remove(lock))
		time.Sleep(3 * time.Second)
		assert.Equal(t, want, l.all(t, true))
		l.Close(t.Context())
	})
}

// Events that another user left are sent as soon as somebody has given them to ours.
func TestEventsOfAnotherUser(t *testing.T) {
	dir := t.TempDir()
	a := openLog(t, dir)
	want := a.add(t, "a", 10)
	a.written(t)
	a.Close(t.Context())
	segment := mustGlob(t, filepath.Join(dir, "*", "*"+segmentSuffix))[0]
	process := filepath.Dir(segment)
	require.NoError(t, os.Chmod(segment, 0))
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Chdir(dir) // whoever may not look into the folders above
	user := os.Getuid()
	if user == 0 {
		user = 65534
		for _, path := range []string{process, filepath.Join(process, lockName)} {
			require.NoError(t, os.Chown(path, user, -1))
		}
	}

	said := ""
	l := &Log{dir: ".", useless: map[string]bool{}, own: &folder{next: 1, end: 1, done: ranges{low: 1}}, o: Options{
		Lost: func(string, int) {}, Adopted: func(int) {}, Ready: func() {}, Report: func(_, text string) { said = text },
	}}
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		runtime.LockOSThread() // for good: the thread ends with its goroutine
		assert.NoError(t, syscall.Setfsuid(user))
		l.adopt()
	}()
	<-looked
	assert.Empty(t, l.adopted)
	assert.Equal(t, "spool .: some of what another process left cannot be read: permission denied: "+
		"see that the folder exists and belongs to the user that Kong runs as", said)
	require.NoError(t, os.Chmod(segment, 0o600))
	l.adopt()
	require.Len(t, l.adopted, 1)
	assert.Equal(t, len(want), l.unread)
	l.adopted[0].release()
}

// A folder that cannot be listed keeps what says how far it was sent.
func TestAFolderThatCannotBeListed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	lock, err := os.Open(file)
	require.NoError(t, err)
	var said error
	f, lost := load(file, lock, func(err error) { said = err })
	require.ErrorIs(t, said, syscall.ENOTDIR)
	assert.Zero(t, lost)
	f.remove()
	assert.FileExists(t, file)
}

// What was adopted and is removed is lost at that time, and not only found out when it is read.
func TestAnAdoptedFolderIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "spool")
		a := openLog(t, dir, func(o *Options) { o.MaxBytes = 1 << 20 })
		for range 200 { // several segments
			a.Append([]byte(strings.Repeat("x", 1000)), time.Now(), false)
		}
		time.Sleep(time.Second)
		a.Close(t.Context())
		l := openLog(t, dir)
		time.Sleep(time.Second)
		assert.Equal(t, 200, l.Unread())
		held := l.Read(5, 1<<20)
		require.Len(t, held, 5)
		require.NoError(t, os.RemoveAll(dir))
		time.Sleep(3 * time.Second)
		assert.Equal(t, map[string]int{IO: 195}, l.losses())
		assert.Zero(t, l.Unread())
		left, _ := l.Close(t.Context())
		assert.Zero(t, left)
	})
}

func TestASegmentIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := openLog(t, dir)
		a.add(t, "a", 10)
		time.Sleep(time.Second)
		a.Close(t.Context())
		l := openLog(t, dir)
		want := l.add(t, "b", 10)
		time.Sleep(time.Second)
		matches, err := filepath.Glob(filepath.Join(dir, "*", segmentName(1)))
		require.NoError(t, err)
		require.Len(t, matches, 2)
		require.NoError(t, os.Remove(matches[0]))
		assert.Equal(t, want, l.all(t, true))
		assert.Equal(t, map[string]int{IO: 10}, l.losses())
		l.Close(t.Context())
	})
}

// Files of others stay where they are and do no harm.
func TestForeignFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := openLog(t, dir)
		want := a.add(t, "a", 10)
		time.Sleep(time.Second)
		a.Close(t.Context())
		folders, err := filepath.Glob(filepath.Join(dir, folderPrefix+"*"))
		require.NoError(t, err)
		outside := filepath.Join(t.TempDir(), "outside")
		require.NoError(t, os.WriteFile(outside, []byte(magic), 0o600))
		for _, name := range []string{"README", "1.seg", "99999999999999999999.seg", "18000000000000000000.seg", "x" + segmentName(3)} {
			require.NoError(t, os.WriteFile(filepath.Join(folders[0], name), []byte("something"), 0o600))
		}
		require.NoError(t, os.Symlink(outside, filepath.Join(folders[0], segmentName(500))))
		require.NoError(t, os.Mkdir(filepath.Join(folders[0], segmentName(600)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "notes"), nil, 0o600))
		require.NoError(t, os.Mkdir(filepath.Join(dir, folderPrefix+"empty"), 0o700))
		l := openLog(t, dir)
		want = append(want, l.add(t, "b", 10)...)
		time.Sleep(time.Second)
		assert.Equal(t, want, l.all(t, true))
		assert.Empty(t, l.losses())
		time.Sleep(10 * time.Second)
		l.Close(t.Context())
		assert.Empty(t, l.text())
		assert.ElementsMatch(t, []string{"README", "1.seg", "99999999999999999999.seg", "18000000000000000000.seg", "x" + segmentName(3),
			segmentName(500), "notes"}, files(t, dir))
		assert.FileExists(t, outside)
	})
}

func TestModes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "spool")
	l := openLog(t, dir)
	l.add(t, "a", 10)
	l.written(t)
	require.NoError(t, filepath.WalkDir(filepath.Dir(dir), func(path string, d os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[d.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s has mode %o", path, info.Mode().Perm())
		}
		return nil
	}))
}

// The room on disk is never exceeded, and what goes is counted exactly.
func TestRoom(t *testing.T) {
	for _, newest := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			dir := t.TempDir()
			l := openLog(t, dir, func(o *Options) { o.MaxBytes, o.DropNewest = 1<<20, newest })
			time.Sleep(time.Second)
			event := strings.Repeat("x", 1000)
			refused := 0
			for i := range 4000 {
				if _, _, refusal := l.Append([]byte(event), time.Now(), false); refusal != "" {
					assert.Equal(t, Full, refusal)
					refused++
				}
				if i%20 == 0 {
					time.Sleep(5 * time.Millisecond)
					synctest.Wait()
					var size int64
					for _, path := range mustGlob(t, filepath.Join(dir, "*", "*"+segmentSuffix)) {
						info, err := os.Stat(path)
						require.NoError(t, err)
						size += info.Size()
					}
					assert.LessOrEqual(t, size, int64(1<<20))
				}
			}
			got := len(l.all(t, true))
			assert.Equal(t, 4000, got+refused+l.losses()[Full])
			assert.Equal(t, newest, refused > 0)
			assert.Equal(t, newest, l.losses()[Full] == 0)
			assert.Greater(t, got, 900)
			l.Close(t.Context())
		})
	}
}

// With the policy newest, what was taken stays, also when it comes faster than it is written.
func TestRoomForABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		l := openLog(t, dir, func(o *Options) { o.MaxBytes, o.DropNewest = 1<<20, true })
		time.Sleep(time.Second)
		event := []byte(strings.Repeat("x", 100))
		taken := 0
		for {
			_, _, refusal := l.Append(event, time.Now(), false)
			if refusal != "" {
				assert.Equal(t, Full, refusal)
				break
			}
			taken++
		}
		time.Sleep(time.Second)
		synctest.Wait()
		assert.Empty(t, l.losses())
		_, bytes := l.Size()
		assert.LessOrEqual(t, bytes, int64(1<<20))
		assert.Len(t, l.all(t, true), taken)
		l.Close(t.Context())
	})
}

// Less room, and a shorter life: what is too much goes when the next event comes, and what is too old within a second.
func TestConfigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, t.TempDir(), func(o *Options) { o.MaxBytes = 8 << 20 })
		event := strings.Repeat("x", 1000)
		for range 4000 {
			l.Append([]byte(event), time.Now(), false)
		}
		time.Sleep(time.Second)
		l.Configure(Options{MaxBytes: 3 << 20})
		l.Append([]byte(event), time.Now(), false)
		time.Sleep(time.Second)
		_, bytes := l.Size()
		assert.LessOrEqual(t, bytes, int64(3<<20))
		l.Configure(Options{MaxBytes: 1 << 20, DropNewest: true})
		_, _, refusal := l.Append([]byte(event), time.Now(), false)
		assert.Equal(t, Full, refusal)
		l.Configure(Options{MaxBytes: 3 << 20, MaxAge: time.Minute})
		time.Sleep(time.Hour)
		assert.Empty(t, l.all(t, true))
		assert.Equal(t, 4001, l.losses()[Full]+l.losses()[Aged])
		l.Close(t.Context())
	})
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return paths
}
