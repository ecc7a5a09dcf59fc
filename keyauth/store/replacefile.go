package store

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// replaceFile writes a new file, with the owner and mode of that in path or else with mode 0600, and puts it there: whoever reads has the old one or the new one,
// whole, and it is on the disk when the call returns. Nobody else may do so meanwhile.
func replaceFile(path string, write func(w *bufio.Writer) error) (fs.FileInfo, error) {
	left, _ := filepath.Glob(path + ".new-*") // by a writer that was killed
	for _, name := range left {
		os.Remove(name)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name()) // fails when all went well
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	ownAs(f, path)
	if err := write(w); err != nil {
		return nil, err
	}
	if err := errors.Join(w.Flush(), f.Sync()); err != nil {
		return nil, err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return info, syncFolder(filepath.Dir(path))
}

// withoutLinks is the name that a file has in the end, where links lead from path; the file need not exist. Writing it anew would
// otherwise put it into the place of the link.
func withoutLinks(path string) string {
	const most = 40 // links, as for the system
	for range most {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// ownAs gives f to who has the file that it replaces, and lets those read it who may read that: else the plugin might not be
// able to, from the day on at which a file that was appended to is written anew.
func ownAs(f *os.File, path string) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		ownAsFolder(f)
		return
	}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = f.Chown(int(sys.Uid), int(sys.Gid)) // where it fails, the file is that of who writes it
	}
	_ = f.Chmod(info.Mode().Perm())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
