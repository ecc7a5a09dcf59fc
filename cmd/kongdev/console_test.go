package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The console shows what goes through the gateway, with the tree of -v beside
// it, and ends with it.
func TestConsoleFlag(t *testing.T) {
	file := writeFile(t, filepath.Join(t.TempDir(), "kong.yml"), `_format_version: "3.0"
services: [{name: up, url: "http://echo.kongdev", routes: [{name: all, paths: [/]}]}]
`, 0o600)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var out, errOut output
	ended := make(chan int)
	go func() {
		ended <- run(ctx, []string{"-f", file, "-listen", "127.0.0.1:0", "-admin", "off", "-console", ":0", "-v"}, &out, &errOut)
	}()
	address := func(label string) string {
		find := regexp.MustCompile(label + ` +(http://\S+)`)
		require.Eventually(t, func() bool { return find.MatchString(out.String()) }, time.Minute, 5*time.Millisecond, "%s %s", &out, &errOut)
		return find.FindStringSubmatch(out.String())[1]
	}
	page := address("console")
	require.True(t, strings.HasPrefix(page, "http://localhost:"), page)
	resp, err := http.Get(page)
	require.NoError(t, err)
	body, _ := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	assert.Contains(t, string(body), "<title>kongdev console</title>")

	feed, err := http.Get(page + "/feed")
	require.NoError(t, err)
	defer func() { _ = feed.Body.Close() }()
	resp, err = http.Get(address("proxy") + "/seen?x=1")
	require.NoError(t, err)
	_ = resp.Body.Close()
	lines := bufio.NewScanner(feed.Body)
	for found := false; !found; {
		require.True(t, lines.Scan(), "the feed ended")
		found = strings.Contains(lines.Text(), `"target":"/seen?x=1"`) && strings.Contains(lines.Text(), `"done":true`)
	}
	require.Eventually(t, func() bool { return strings.Contains(errOut.String(), "GET /seen?x=1: 200") }, time.Minute, 5*time.Millisecond, "the tree of -v")
	cancel()
	assert.Equal(t, exitOK, <-ended)
	for lines.Scan() { // the feed ends with the gateway
		continue
	}
	if resp, err := http.Get(page); err == nil { // another process may have got the port
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		assert.NotContains(t, string(body), "<title>kongdev console</title>")
	}
}
