package store

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// replaceFile writes a new file, with mode 0600, and puts it in the place of path: whoever reads has the old one or the new one,
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
	ownAsFolder(f)
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

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
