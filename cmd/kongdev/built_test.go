package main

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// builtFolder is the environment variable with the folder for what the tests build, which TestMain makes and removes.
const builtFolder = "KONGDEV_TEST_FOLDER"

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	folder, err := os.MkdirTemp("", "kongdev")
	if err == nil {
		defer func() { _ = os.RemoveAll(folder) }()
		err = os.Setenv(builtFolder, folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// builtMoesif is a folder with the plugin's binary, which is built once.
func builtMoesif(t *testing.T) string {
	t.Helper()
	folder, err := buildMoesif()
	require.NoError(t, err)
	return folder
}

var buildMoesif = sync.OnceValues(func() (string, error) {
	folder := os.Getenv(builtFolder)
	if out, err := exec.Command("go", "build", "-o", folder+"/", "kong-go-plugins/cmd/moesif").CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return folder, nil
})
