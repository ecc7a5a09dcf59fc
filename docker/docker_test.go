// Package docker_test checks the files of this folder as far as it goes without Docker.
package docker_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"kong-go-plugins/internal/kongconf"
)

// bin holds kongdev, the plugins, and install, the carrier's program.
var bin string // read-only after TestMain

// variants are the settings with which the compositions are read: another name for datakit beside Kong's own.
var variants = []map[string]string{nil, {"DATAKIT": "datakit-go", "KONG_YML": "kong-datakit-go.yml"}} // read-only

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	var err error
	if bin, err = os.MkdirTemp("", "docker-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(bin)
	if out, err := exec.Command("go", "build", "-o", bin+"/", "../cmd/moesif", "../cmd/keyauth", "../cmd/datakit", "../cmd/kongdev", "./install").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		return 1
	}
	return m.Run()
}

// A composition is as much of a compose file as ours use; another key is a mistake.
type composition struct {
	Name     string
	Services map[string]service
	Volumes  map[string]struct{}
}

type service struct {
	Image string
	Build struct {
		Context, Dockerfile, Target string
		Args                        map[string]string
	}
	Command     []string
	Environment map[string]string
	Volumes     []string
	Ports       []string
	Tmpfs       []string
	DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
	Healthcheck struct {
		Test              []string
		Interval, Timeout string
		Retries           int
	}
	ReadOnly    bool     `yaml:"read_only"`
	SecurityOpt []string `yaml:"security_opt"`
	CapDrop     []string `yaml:"cap_drop"`
	NetworkMode string   `yaml:"network_mode"`
}

// variable is one with a default, as compose and shells write it.
var variable = regexp.MustCompile(`\$\{(\w+):-([^}]*)\}`)

func readCompositions(t *testing.T, env map[string]string) map[string]composition {
	t.Helper()
	names, err := filepath.Glob("compose*.yml")
	require.NoError(t, err)
	require.Len(t, names, 3)
	all := map[string]composition{}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		d := yaml.NewDecoder(strings.NewReader(variable.ReplaceAllStringFunc(string(text), func(v string) string {
			m := variable.FindStringSubmatch(v)
			return cmp.Or(env[m[1]], m[2])
		})))
		d.KnownFields(true)
		var c composition
		require.NoError(t, d.Decode(&c), name)
		all[name] = c
	}
	return all
}

// What a composition refers to exists.
func TestCompositionsHoldTogether(t *testing.T) {
	t.Parallel()
	dockerfile, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	for _, env := range variants {
		for name, c := range readCompositions(t, env) {
			for n := range c.Services {
				assertHoldsTogether(t, name, n, c, string(dockerfile))
			}
		}
	}
}

func assertHoldsTogether(t *testing.T, name, n string, c composition, dockerfile string) {
	t.Helper()
	s, where := c.Services[n], name+": "+n
	assert.NotEqual(t, s.Image == "", s.Build.Target == "", "%s has an image or is built", where)
	if s.Build.Target != "" {
		assert.Equal(t, "..", s.Build.Context)
		assert.FileExists(t, filepath.Join("..", s.Build.Dockerfile), where)
		assert.Contains(t, dockerfile, " AS "+s.Build.Target+"\n", where)
	}
	for arg := range s.Build.Args {
		assert.Contains(t, dockerfile, "\nARG "+arg+"=", where)
	}
	for other, d := range s.DependsOn {
		assert.Contains(t, c.Services, other, where)
		assert.Contains(t, []string{"service_healthy", "service_completed_successfully"}, d.Condition, where)
		if d.Condition == "service_healthy" {
			assert.NotEmpty(t, c.Services[other].Healthcheck.Test, "%s waits for the health of %s", where, other)
		}
	}
	for _, v := range s.Volumes {
		from, _, _ := strings.Cut(v, ":")
		switch {
		case strings.HasPrefix(from, "./"):
			assert.FileExists(t, from, where)
		case !strings.HasPrefix(from, "${"):
			assert.Contains(t, c.Volumes, from, where)
		}
	}
}

// program finds the plugins' command lines in a text: the program with its flags.
var program = regexp.MustCompile(`(?:/[a-z/-]+/)?\b(moesif|keyauth|datakit-go|datakit)((?: -[a-z-]+(?: /[a-z_/]+)?)+)`)

// Kong knows the settings, and they agree with each other, with the mounts, and with the flags of the binaries.
func TestSettings(t *testing.T) {
	t.Parallel()
	for _, env := range variants {
		for name, c := range readCompositions(t, env) {
			for n, s := range c.Services {
				assertSettings(t, name+": "+n, s)
			}
		}
	}
}

func assertSettings(t *testing.T, where string, s service) {
	t.Helper()
	names := s.Environment["KONG_PLUGINSERVER_NAMES"]
	servers := strings.FieldsFunc(names, func(r rune) bool { return r == ',' })
	for key := range s.Environment {
		setting, ok := strings.CutPrefix(key, "KONG_")
		assert.True(t, ok && setting == strings.ToUpper(setting), "%s: %s is not a setting of Kong", where, key)
		assert.Empty(t, kongconf.Unknown(strings.ToLower(setting), append(servers, "datakit", "datakit-go")), where)
	}
	if names == "" {
		return
	}
	health := strings.Join(s.Healthcheck.Test, " ")
	assert.Equal(t, "bundled,"+names, s.Environment["KONG_PLUGINS"], where)
	for _, plugin := range servers {
		query, start := s.commands(plugin)
		if s.Build.Target == "gateway" {
			assert.Empty(t, query+start, "%s: Kong finds %s in /usr/local/bin by itself", where, plugin)
			query, start = plugin+" -dump", plugin
		} else {
			assert.Contains(t, start, " -kong-prefix "+cmp.Or(s.Environment["KONG_PREFIX"], "/usr/local/kong"), where)
			assert.Contains(t, s.Volumes, "bin:/opt/kong-go:ro", where)
			assert.True(t, strings.HasPrefix(query, folder) && strings.HasPrefix(start, folder), where)
		}
		assert.Contains(t, health, plugin+" -check", where)
		assertStarts(t, filepath.Join(bin, strings.TrimSuffix(plugin, "-go")), plugin, strings.TrimPrefix(query, folder), strings.TrimPrefix(start, folder))
	}
	for _, m := range program.FindAllStringSubmatch(health, -1) {
		if prefix := s.Environment["KONG_PREFIX"]; prefix != "" {
			assert.Contains(t, m[2], "-kong-prefix "+prefix, "%s: -check looks where the plugin listens", where)
		}
	}
}

// folder is where the compositions mount the binaries.
const folder = "/opt/kong-go/"

// commands are those that Kong is told for a plugin.
func (s service) commands(plugin string) (query, start string) {
	infix := "KONG_PLUGINSERVER_" + strings.ToUpper(strings.ReplaceAll(plugin, "-", "_"))
	return s.Environment[infix+"_QUERY_CMD"], s.Environment[infix+"_START_CMD"]
}

// assertStarts runs the query command as Kong does, and the start command's flags, with an empty environment.
func assertStarts(t *testing.T, binary, name, query, start string) {
	t.Helper()
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = []string{}
		out, err := cmd.Output()
		require.NoError(t, err, "%s %s", binary, args)
		return string(out)
	}
	assert.Contains(t, run(append(strings.Fields(query)[1:], "-name", name)...), `"Name":"`+name+`"`)
	run(append(strings.Fields(start)[1:], "-version")...) // flags are read before anything else is done
}

// carrier lays the files of the carrier image out in a folder and returns its entrypoint.
func carrier(t *testing.T) (entrypoint string) {
	t.Helper()
	image := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(image, "plugins"), 0o755))
	for _, plugin := range []string{"moesif", "keyauth", "datakit"} {
		require.NoError(t, os.Link(filepath.Join(bin, plugin), filepath.Join(image, "plugins", plugin)))
	}
	entrypoint = filepath.Join(image, "install")
	require.NoError(t, os.Link(filepath.Join(bin, "install"), entrypoint))
	return entrypoint
}

// The binaries that the carrier copies start by the commands of the composition, and its health check finds them healthy.
func TestMountedPluginsStart(t *testing.T) {
	t.Parallel()
	entrypoint := carrier(t)
	for _, env := range variants {
		c := readCompositions(t, env)["compose.mount.yml"]
		dest, prefix := t.TempDir(), shortDir(t)
		here := strings.NewReplacer(folder, dest+"/", "/dest", dest, "/kong_prefix", prefix)
		var args []string
		for _, a := range c.Services["plugins"].Command {
			args = append(args, here.Replace(a))
		}
		out, err := exec.CommandContext(t.Context(), entrypoint, args...).CombinedOutput()
		require.NoError(t, err, string(out))

		kong := c.Services["kong"]
		// Kong starts a plugin as sh -c "exec COMMAND", with an empty environment.
		shell := func(ctx context.Context, line string) *exec.Cmd {
			cmd := exec.CommandContext(ctx, "/bin/sh", "-c", here.Replace(line))
			cmd.Env = []string{}
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			cmd.WaitDelay = 20 * time.Second
			return cmd
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running []*exec.Cmd
		for _, plugin := range strings.Split(kong.Environment["KONG_PLUGINSERVER_NAMES"], ",") {
			query, start := kong.commands(plugin)
			out, err := shell(ctx, "exec "+query).Output()
			require.NoError(t, err)
			assert.Contains(t, string(out), `"Name":"`+plugin+`"`)
			cmd := shell(ctx, "exec "+start)
			require.NoError(t, cmd.Start())
			running = append(running, cmd)
		}
		require.Equal(t, "CMD-SHELL", kong.Healthcheck.Test[0])
		check, ok := strings.CutPrefix(kong.Healthcheck.Test[1], "kong health && ")
		require.True(t, ok)
		assert.Eventually(t, func() bool { return shell(t.Context(), check).Run() == nil }, time.Minute, 100*time.Millisecond, "the plugins of %v are healthy", env)
		cancel()
		for _, cmd := range running {
			_ = cmd.Wait() // was ended by the signal
		}
		assert.Eventually(t, func() bool { return shell(t.Context(), check).Run() != nil }, time.Minute, 100*time.Millisecond, "without the plugins it is not healthy")
	}
}

// shortDir is a folder for sockets, whose paths are limited.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "p-")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// The two configurations differ in datakit's name only.
func TestSameConfiguration(t *testing.T) {
	t.Parallel()
	one, err := os.ReadFile("kong.yml")
	require.NoError(t, err)
	other, err := os.ReadFile("kong-datakit-go.yml")
	require.NoError(t, err)
	assert.Equal(t, strings.Replace(string(one), "- name: datakit\n", "- name: datakit-go\n", 1), string(other))
}

// The demonstration's requests do what they say, with kongdev in the place of the gateway and of its upstream.
func TestRequests(t *testing.T) {
	t.Parallel()
	dest := t.TempDir()
	out, err := exec.CommandContext(t.Context(), carrier(t), "-name", "datakit=datakit-go", dest).CombinedOutput()
	require.NoError(t, err, string(out))
	for config, plugins := range map[string]string{"kong.yml": bin, "kong-datakit-go.yml": dest} {
		t.Run(config, func(t *testing.T) {
			t.Parallel()
			assertRequests(t, config, plugins)
		})
	}
}

func assertRequests(t *testing.T, name, plugins string) {
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	dir := t.TempDir()
	events := filepath.Join(dir, "events.ndjson")
	config := strings.NewReplacer("http://echo:8000", "http://echo.kongdev", "/tmp/moesif-events.ndjson", events).Replace(string(text))
	require.NotContains(t, config, "echo:8000")
	require.Contains(t, config, events)
	file := filepath.Join(dir, "kong.yml")
	require.NoError(t, os.WriteFile(file, []byte(config), 0o600))
	entries, err := os.ReadDir(plugins)
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() == "kongdev" || e.Name() == "install" {
			continue
		}
		out, err := exec.CommandContext(t.Context(), filepath.Join(plugins, e.Name()), "-validate", name).CombinedOutput()
		require.NoError(t, err, string(out))
	}

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "kongdev"), "-f", file, "-plugins", plugins, "-listen", "127.0.0.1:0", "-admin", "off", "--", "./requests.sh")
	cmd.Env = append(os.Environ(), "EVENTS=cat "+events)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	for _, line := range []string{"keyauth: a request without a key is refused", "datakit: the workflow's header reached the upstream", "moesif: the request is an event, of alice"} {
		assert.Contains(t, string(out), line)
	}
}

// Without a gateway the script says where it has looked for one, and how to start it.
func TestRequestsWithoutAGateway(t *testing.T) {
	t.Parallel()
	const url = "http://127.0.0.1:1" // a port that no system gives out
	cmd := exec.CommandContext(t.Context(), "./requests.sh")
	cmd.Env = append(os.Environ(), "GATEWAY_URL="+url)
	out, err := cmd.CombinedOutput()
	require.ErrorAs(t, err, new(*exec.ExitError))
	assert.Contains(t, string(out), "FAILED: no gateway answers at "+url+": start it by docker compose -f docker/compose.yml up --build --wait")
}

var (
	instruction = regexp.MustCompile(`^(?:ARG|FROM|WORKDIR|COPY|RUN|ENTRYPOINT|ENV) \S`)
	stage       = regexp.MustCompile(`(?m)^FROM (?:--platform=\S+ )?(\S+) AS (\S+)$`)
	copied      = regexp.MustCompile(`^COPY (?:--\S+ )*(.+) (\S+)$`)
)

// What the Dockerfile copies is there or made before, and nothing that a gateway's image says of itself is replaced.
func TestDockerfile(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("Dockerfile")
	require.NoError(t, err)
	joined := strings.ReplaceAll(string(text), "\\\n", "")
	var stages []string
	for _, m := range stage.FindAllStringSubmatch(joined, -1) {
		stages = append(stages, m[2])
	}
	require.Equal(t, []string{"build", "carrier", "gateway"}, stages)
	makefile, err := os.ReadFile("../Makefile")
	require.NoError(t, err)
	for line := range strings.Lines(joined) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		assert.Regexp(t, instruction, line)
		if _, target, ok := strings.Cut(line, " make "); ok {
			assert.Contains(t, string(makefile), "\n"+strings.Fields(target)[0]+":\n")
		}
		m := copied.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, source := range strings.Fields(m[1]) {
			if made, ok := strings.CutPrefix(source, "/out/"); ok {
				folder, plugin, _ := strings.Cut(made, "/")
				assert.Contains(t, string(makefile), "$(BIN)/"+folder, line)
				if plugin != "" {
					assert.Contains(t, string(makefile), " ./cmd/"+plugin, line)
				}
			} else if source != "." {
				assert.FileExists(t, filepath.Join("..", source), line)
			}
		}
	}
	_, gateway, _ := strings.Cut(joined, " AS gateway\n")
	for _, kept := range []string{"ENTRYPOINT", "CMD", "USER"} {
		assert.False(t, slices.ContainsFunc(strings.Split(gateway, "\n"), func(l string) bool { return strings.HasPrefix(l, kept+" ") }), "%s is the Kong image's", kept)
	}
}

// Without Docker the end-to-end run says so, and fails.
func TestEndToEndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	dirname, err := exec.LookPath("dirname")
	require.NoError(t, err)
	path := t.TempDir()
	require.NoError(t, os.Symlink(dirname, filepath.Join(path, "dirname")))
	cmd := exec.CommandContext(t.Context(), bash, "e2e.sh")
	cmd.Env = []string{"PATH=" + path}
	out, err := cmd.CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "there is no docker compose on this machine, so nothing was run")
}
