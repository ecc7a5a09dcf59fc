// Package release_test checks how releases are made, without making one.
package release_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"kong-go-plugins/datakit"
	"kong-go-plugins/keyauth"
	"kong-go-plugins/moesif"
)

// One tag stands for all plugins, and Kong starts with a version of three numbers only.
func TestVersions(t *testing.T) {
	t.Parallel()
	assert.Regexp(t, `^\d+\.\d+\.\d+$`, moesif.Version)
	assert.Equal(t, moesif.Version, keyauth.Version)
	assert.Equal(t, moesif.Version, datakit.Version)
}

func TestCheckTag(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ tag, says string }{
		{"v" + moesif.Version + ".4", "expected vX.Y.Z"},
		{"v" + moesif.Version + "-rc1", "expected vX.Y.Z"},
		{moesif.Version, "expected vX.Y.Z"},
		{"v999.0.0", "moesif/schema.go has another Version"},
	} {
		out, err := exec.CommandContext(t.Context(), "./check-tag.sh", c.tag).CombinedOutput()
		require.Error(t, err, c.tag)
		assert.Contains(t, string(out), c.says, c.tag)
	}
}

var changelogs = []string{"CHANGELOG.md", "changelog/moesif.md", "changelog/keyauth.md", "changelog/datakit.md"} // read-only

// copyRelease lays the scripts and what they read out in a folder, as it is when the changelogs were written for a release:
// all but one.
func copyRelease(t *testing.T, without string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	version := strings.ReplaceAll("## [VERSION] - 2026-01-31", "VERSION", moesif.Version)
	for _, name := range append(changelogs, "release/check-tag.sh", "release/notes.sh", "moesif/schema.go", "keyauth/schema.go", "datakit/schema.go") {
		text, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		switch {
		case name == without:
			text = []byte("# x\n\n## [Unreleased]\n\n- something\n")
		case strings.HasSuffix(name, ".md"):
			text = []byte("# x\n\n## [Unreleased]\n\n" + version + "\n\n### Added\n\n- something in " + name + "\n\n## [0.0.1] - 2025-01-31\n\n- old\n")
		}
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		// A process that another test starts in the meantime has a script open for writing, and it could not be executed.
		syscall.ForkLock.RLock()
		err = os.WriteFile(filepath.Join(dir, name), text, 0o755)
		syscall.ForkLock.RUnlock()
		require.NoError(t, err)
	}
	return dir
}

// A release has a section with a date in every changelog, and these are its notes.
func TestReleaseNotes(t *testing.T) {
	t.Parallel()
	tag := "v" + moesif.Version
	dir := copyRelease(t, "")
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "release/check-tag.sh"), tag).CombinedOutput()
	require.NoError(t, err, string(out))
	out, err = exec.CommandContext(t.Context(), filepath.Join(dir, "release/notes.sh"), tag).CombinedOutput()
	require.NoError(t, err, string(out))
	var want strings.Builder
	for _, name := range changelogs {
		if plugin, ok := strings.CutPrefix(name, "changelog/"); ok {
			want.WriteString("\n## " + strings.TrimSuffix(plugin, ".md") + "\n")
		}
		want.WriteString("\n### Added\n\n- something in " + name + "\n")
	}
	assert.Equal(t, want.String(), string(out))

	for _, without := range changelogs {
		dir := copyRelease(t, without)
		for _, script := range []string{"check-tag.sh", "notes.sh"} {
			out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "release", script), tag).CombinedOutput()
			assert.Error(t, err, script)
			assert.Contains(t, string(out), without+" has no section", script)
		}
	}
}

var (
	changelogHead = regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+)\]( - \d{4}-\d{2}-\d{2})?$`)
	changelogPart = regexp.MustCompile(`^### (Added|Changed|Deprecated|Removed|Fixed|Security|Upgrade|Known gaps)$`)
)

// The changelogs have the form of Keep a Changelog, with two sections more: Upgrade for schemas, and Known gaps.
func TestChangelogs(t *testing.T) {
	t.Parallel()
	for _, name := range changelogs {
		text, err := os.ReadFile(filepath.Join("..", name))
		require.NoError(t, err)
		assert.Contains(t, string(text), "\n## [Unreleased]\n", name)
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			switch {
			case strings.HasPrefix(line, "### "):
				assert.Regexp(t, changelogPart, line, name)
			case strings.HasPrefix(line, "## "):
				m := changelogHead.FindStringSubmatch(line)
				require.NotNil(t, m, "%s: %s", name, line)
				assert.Equal(t, m[1] == "Unreleased", m[2] == "", "%s: %s: a release has a date", name, line)
			}
		}
	}
}

// Every module in the binaries has its licence in the file that goes with them.
func TestLicenses(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "./licenses.sh").Output()
	require.NoError(t, err)
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "../cmd/moesif", "../cmd/keyauth", "../cmd/datakit").Output()
	require.NoError(t, err)
	for _, module := range strings.Fields(string(deps)) {
		if module != "kong-go-plugins" {
			assert.True(t, bytes.Contains(out, []byte("\n==== "+module+" v")), module)
		}
	}
	assert.True(t, bytes.Contains(out, []byte("\n==== Go go1.")))
}

// goreleaser builds with the Makefile's flags and packs files that exist.
func TestGoreleaser(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	flags := regexp.MustCompile(`(?m)^BUILDFLAGS := (.+) -ldflags '(.+)\$\(VERSION\)'$`).FindSubmatch(makefile)
	require.NotNil(t, flags)
	text, err := os.ReadFile("../.goreleaser.yaml")
	require.NoError(t, err)
	var g struct {
		Builds []struct {
			ID, Main, Binary                  string
			Env, Goos, Goarch, Flags, LDFlags []string
		}
		Archives []struct{ Files []struct{ Src string } }
		Release  struct {
			ExtraFiles []struct{ Glob string } `yaml:"extra_files"`
		}
	}
	require.NoError(t, yaml.Unmarshal(text, &g))
	require.Len(t, g.Builds, 3)
	for _, b := range g.Builds {
		assert.Equal(t, "./cmd/"+b.Binary, b.Main, "Kong takes the name of the file")
		assert.DirExists(t, filepath.Join("..", b.Main))
		assert.Equal(t, []string{"CGO_ENABLED=0"}, b.Env)
		assert.Equal(t, string(flags[1]), strings.Join(b.Flags, " "))
		assert.Equal(t, []string{string(flags[2]) + "{{ .Tag }}+{{ .FullCommit }}"}, b.LDFlags)
		assert.Equal(t, []string{"amd64", "arm64"}, b.Goarch)
	}
	require.Len(t, g.Archives, 1)
	for _, f := range g.Archives[0].Files {
		if !strings.HasPrefix(f.Src, "bin/") {
			assert.FileExists(t, filepath.Join("..", f.Src))
		}
	}
	require.Len(t, g.Release.ExtraFiles, 3)
	for _, f := range g.Release.ExtraFiles {
		assert.FileExists(t, filepath.Join("..", f.Glob))
	}
}

// The workflows run scripts, targets and stages that exist.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	dockerfile, err := os.ReadFile("../docker/Dockerfile")
	require.NoError(t, err)
	names, err := filepath.Glob("../.github/workflows/*.yml")
	require.NoError(t, err)
	require.Len(t, names, 2)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var w struct {
			Jobs map[string]struct {
				Steps []struct {
					Run, Uses string
					With      map[string]any
				}
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &w), name)
		require.NotEmpty(t, w.Jobs)
		for job, j := range w.Jobs {
			for _, s := range j.Steps {
				assert.NotEqual(t, s.Run == "", s.Uses == "", "%s: %s: a step runs or uses", name, job)
				words := strings.Fields(s.Run)
				switch {
				case len(words) == 0:
				case words[0] == "make":
					assert.Contains(t, string(makefile), "\n"+words[1]+":\n", name)
				default:
					assert.FileExists(t, filepath.Join("..", words[0]), name)
				}
				if stage, ok := s.With["target"].(string); ok {
					assert.Contains(t, string(dockerfile), " AS "+stage+"\n", name)
				}
			}
		}
	}
}
