package datakit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// vaultValues is the node vault: it gives the values that Kong has resolved, and those of files. Its errors name keys,
// never values.
type vaultValues struct {
	wanted []string
	all    map[string]string
	files  map[string]*secretFile
	report func(key, text string)
}

// vaultNodeOf makes the node of the vault, nil when nothing takes from it.
func vaultNodeOf(b *builder, v *vertex, r *Resources) node {
	wanted := Ports{}
	for _, other := range b.graph.vertices {
		for _, l := range other.links {
			if l.from == v.place {
				wanted.add(l.out, sortedKeys(r.Vault))
			}
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	n := vaultValues{wanted: sortedKeys(wanted), all: r.Vault, files: map[string]*secretFile{}, report: b.engine.report}
	for _, key := range n.wanted {
		if path, is := fileReference(r.Vault[key]); is {
			n.files[key] = &secretFile{path: path}
		}
	}
	return n
}

func (n vaultValues) run(context.Context, values) (values, error) {
	out := make(values, 0, len(n.wanted))
	var empty []string
	var wrong []error
	for _, key := range n.wanted {
		value := n.all[key]
		if f := n.files[key]; f != nil {
			text, err := f.value()
			switch {
			case err != nil && text == "":
				wrong = append(wrong, fmt.Errorf("%s: its file cannot be used: %w", key, err))
				continue
			case err != nil:
				n.report("vault "+key, fmt.Sprintf("vault: %s keeps its last value, because its file cannot be used: %s", key, err))
			}
			value = text
		}
		if out = append(out, portValue{key, value}); value == "" {
			empty = append(empty, key)
		}
	}
	if len(empty) > 0 {
		wrong = append(wrong, fmt.Errorf("empty: %s; a reference that the gateway cannot resolve arrives as an empty text", strings.Join(empty, ", ")))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return out, nil
}

// checkVault adds what is wrong with references to files.
func checkVault(vault map[string]string, p *problems) {
	for _, key := range sortedKeys(vault) {
		if path, is := fileReference(vault[key]); is && !filepath.IsAbs(path) {
			p.add("resources.vault."+key, "", "is no reference to a file: expected {file:///PATH} with an absolute path")
		}
	}
}

// fileReference takes the path out of {file:///PATH}.
func fileReference(value string) (path string, is bool) {
	path, is = strings.CutPrefix(value, "{file:")
	if !is {
		return "", false
	}
	path, closed := strings.CutSuffix(path, "}")
	path, slashes := strings.CutPrefix(path, "//")
	if !closed || !slashes {
		return "", true
	}
	return path, true
}

// A secretFile is a file with a value, which is read again when it has changed: keys are rotated without a change of the
// configuration. Its last value outlives the file.
type secretFile struct {
	path string

	mu     sync.Mutex
	looked time.Time // at the file
	info   fs.FileInfo
	last   string
	err    error
}

const (
	secretFileEvery = time.Second // between two looks at a file
	maxSecretFile   = 64 << 10    // bytes; key sets are larger than a vault value of Kong may be
)

// value returns the file's text without the newline at its end. With an error it is the last one, or empty.
func (f *secretFile) value() (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); f.looked.IsZero() || now.Sub(f.looked) >= secretFileEvery {
		f.looked = now
		f.err = f.look()
	}
	return f.last, f.err
}

func (f *secretFile) look() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return withoutPath(err)
	}
	if f.err == nil && f.info != nil && os.SameFile(info, f.info) && info.ModTime().Equal(f.info.ModTime()) && info.Size() == f.info.Size() {
		return nil
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is no regular file")
	}
	file, err := os.Open(f.path)
	if err != nil {
		return withoutPath(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSecretFile+1))
	switch {
	case err != nil:
		return withoutPath(err)
	case len(text) > maxSecretFile:
		return fmt.Errorf("it is larger than %d bytes", maxSecretFile)
	}
	text = bytes.TrimSuffix(bytes.TrimSuffix(text, []byte("\n")), []byte("\r"))
	if len(text) == 0 {
		return errors.New("it is empty") // perhaps it is being written
	}
	f.last, f.info = string(text), info
	return nil
}

// withoutPath is what the system says, without where.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
