package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"kong-go-plugins/internal/kongconf"
)

var (
	kongVariable = regexp.MustCompile(`\bKONG_([A-Z0-9_]*[A-Z0-9])\b`)      // read-only
	kongConfLine = regexp.MustCompile(`(?m)^ *([a-z][a-z_]*[a-z]) = \S.*$`) // read-only
	confBlock    = regexp.MustCompile("(?s)```text\n(.*?)```")              // read-only
)

// Kong knows each setting that pages name, as a variable or as a line of kong.conf: it ignores others without a word.
func TestSettingsOnPages(t *testing.T) {
	t.Parallel()
	others := map[string]bool{ // variables of scripts here, of the job for CI, of a plugin
		"image": true, "yml": true, "chart": true, "go_plugins_archive": true, "version": true,
	}
	checked := 0
	for name := range readPages(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		var settings []string
		for _, m := range kongVariable.FindAllStringSubmatch(string(text), -1) {
			if setting := strings.ToLower(m[1]); !others[setting] {
				settings = append(settings, setting)
			}
		}
		if strings.HasPrefix(filepath.Base(name), "install-") {
			for _, block := range confBlock.FindAllStringSubmatch(string(text), -1) {
				for _, m := range kongConfLine.FindAllStringSubmatch(block[1], -1) {
					settings = append(settings, m[1])
				}
			}
		}
		for _, s := range settings {
			checked++
			assert.Empty(t, kongconf.Unknown(s, []string{"moesif", "keyauth", "datakit", "datakit-go"}), name)
		}
	}
	assert.Greater(t, checked, 30)
}
