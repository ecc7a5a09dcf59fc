package docs_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

const root = ".."

// Folders that other users may read too.
var ( // read-only after TestMain
	bin string // all binaries
	bad string // keyauth as "foreign", for another processor, and as "plain", without the right to be executed
)

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "docs")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare writes all executables before anything runs: a process that is started in the meantime holds the file open for
// writing for a moment, and it cannot be executed then.
func prepare(dir string) error {
	syscall.Umask(0o022) // others may read and execute what this process makes, whoever runs the tests
	bin, bad = filepath.Join(dir, "bin"), filepath.Join(dir, "bad")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(bin, 0o755), os.Mkdir(bad, 0o755)); err != nil { //nolint:gosec // see bin
		return err
	}
	if out, err := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "../cmd/...").CombinedOutput(); err != nil {
		return fmt.Errorf("%s%w", out, err)
	}
	b, err := os.ReadFile(filepath.Join(bin, "keyauth"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(bad, "plain"), b, 0o644); err != nil { //nolint:gosec // see bad
		return err
	}
	const machine = 18 // where an ELF file names its processor
	binary.LittleEndian.PutUint16(b[machine:], 0xf7f7)
	return os.WriteFile(filepath.Join(bad, "foreign"), b, 0o755) //nolint:gosec // see bad
}
