package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// idleWait is how long a gateway may take to finish its requests and log events when the command has ended.
const idleWait = 10 * time.Second

// runBehind runs a command while the gateway serves, and returns its exit status, as a shell does: 127 when it cannot be
// started, 128 and the signal's number when one ended it. The command finds the proxy's address in KONGDEV_URL, Kong's
// prefix in KONGDEV_PREFIX and the Admin API's address in KONGDEV_ADMIN_URL.
func runBehind(ctx context.Context, st *started, command []string, stdout, stderr io.Writer) int {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, stdout, stderr
	cmd.Env = append(os.Environ(), "KONGDEV_URL="+st.gateway.URL(), "KONGDEV_PREFIX="+st.gateway.Prefix())
	if st.admin != nil {
		cmd.Env = append(cmd.Env, "KONGDEV_ADMIN_URL="+st.admin.URL())
	}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 3 * time.Second
	err := cmd.Run()
	idle, cancel := context.WithTimeout(ctx, idleWait)
	defer cancel()
	_ = st.gateway.Idle(idle) // Close waits too, and says what is lost
	var exit *exec.ExitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal())
		}
		return exit.ExitCode()
	}
	report(stderr, err)
	return 127
}
