package docker_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// standIn is a docker that writes its arguments down. What is run inside the container is run here, but kills nothing.
const standIn = `#!/bin/sh
echo "$* DATAKIT=$DATAKIT KONG_YML=$KONG_YML" | head -1 >>"$CALLS"
case "$*" in
"run --rm "*" kong version") echo "$KONG_VERSION" ;;
*" up --build "*) exit "${UP:-0}" ;;
*" exec -T kong sh -c "*)
  while [ "$1" != -c ]; do shift; done
  sh -c "kill() { echo \"kill \$*\" >>\"$CALLS\"; }
$2" ;;
esac
`

// endToEnd runs e2e.sh with the stand-in for docker, and kongdev in the place of the gateway; it returns docker's calls.
func endToEnd(t *testing.T, version string, env ...string) (calls, output string, err error) {
	t.Helper()
	dir := t.TempDir()
	// A process that another test starts in the meantime has the stand-in open for writing, and it could not be executed.
	syscall.ForkLock.RLock()
	err = os.WriteFile(filepath.Join(dir, "docker"), []byte(standIn), 0o755)
	syscall.ForkLock.RUnlock()
	require.NoError(t, err)
	log, events := filepath.Join(dir, "calls"), filepath.Join(dir, "events.ndjson")
	text, err := os.ReadFile("kong.yml")
	require.NoError(t, err)
	config := strings.NewReplacer("http://echo:8000", "http://echo.kongdev", "/tmp/moesif-events.ndjson", events).Replace(string(text))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "kong.yml"), []byte(config), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kongdev"), "-f", filepath.Join(dir, "kong.yml"), "-plugins", bin, "-listen", "127.0.0.1:0", "-admin", "off", "--", "./e2e.sh")
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "CALLS="+log, "EVENTS=cat "+events, "KONG_IMAGE=kong:test", "KONG_VERSION="+version)
	cmd.Env = append(cmd.Env, env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	called, readErr := os.ReadFile(log)
	require.NoError(t, readErr, string(out))
	return string(called), string(out), err
}

// The end-to-end run starts both compositions and makes its requests three times in each; from 3.11 of Enterprise on with
// datakit under another name. Its kill finds the processes of all three plugins.
func TestEndToEnd(t *testing.T) {
	t.Parallel()
	for version, variables := range map[string]string{
		"Kong Enterprise 3.9.0.1":  "DATAKIT= KONG_YML=",
		"Kong Enterprise 3.11.0.2": "DATAKIT=datakit-go KONG_YML=kong-datakit-go.yml",
	} {
		calls, out, err := endToEnd(t, version)
		require.NoError(t, err, out)
		assert.Equal(t, 6, strings.Count(out, "moesif: the request is an event, of alice"), out)
		assert.Contains(t, out, "e2e: passed with kong:test")
		var want []string
		for _, file := range []string{"docker/compose.yml", "docker/compose.mount.yml"} {
			for _, step := range []string{"up --build --wait --wait-timeout 180", "exec -T kong kong reload", "up --wait --wait-timeout 60", "exec -T kong sh -c", "down --volumes --timeout 5"} {
				want = append(want, "compose -f "+file+" "+step)
			}
		}
		var got []string
		killed := 0
		for line := range strings.Lines(calls) {
			switch {
			case strings.HasPrefix(line, "kill -9 "):
				killed++
			case strings.HasPrefix(line, "compose -f "):
				step, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " DATAKIT=")
				if before, _, ok := strings.Cut(step, " killed="); ok {
					step = before
				} else {
					assert.Contains(t, line, variables)
				}
				got = append(got, step)
			}
		}
		assert.Equal(t, want, got)
		assert.GreaterOrEqual(t, killed, 6, "three plugins twice")
	}
}

// When a step fails the logs are shown, the containers are removed, and the run has failed.
func TestEndToEndFails(t *testing.T) {
	t.Parallel()
	calls, out, err := endToEnd(t, "3.9.1", "UP=1")
	require.Error(t, err, out)
	assert.NotContains(t, out, "e2e: passed")
	assert.Contains(t, calls, "compose -f docker/compose.yml logs --tail 100")
	assert.Contains(t, calls, "compose -f docker/compose.yml down --volumes")
	assert.NotContains(t, calls, "compose.mount.yml")
}
