package admin

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const patience = time.Minute

// asCommand in the environment makes this test's binary the command.
const asCommand = "KEYAUTH_ADMIN_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		os.Exit(Run(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

const testToken = "0123456789abcdef0123456789abcdef"

func writeFile(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func TestRefusedCommands(t *testing.T) {
	t.Parallel()
	token := writeFile(t, "ci "+testToken)
	store := filepath.Join(t.TempDir(), "keys.jsonl")
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no such flag", []string{"-bogus"}, "flag provided but not defined: -bogus"},
		{"argument", []string{"x"}, `argument "x": not expected`},
		{"address", []string{"-listen", "8001"}, `-listen "8001": expected host:port or unix:/path`},
		{"relative socket", []string{"-listen", "unix:x"}, `expected unix: and an absolute path`},
		{"no token", []string{"-listen", "127.0.0.1:0"}, "a TCP address needs -token-file"},
		{"everybody", []string{"-listen", ":0", "-token-file", token}, "other machines reach this address; give -tls-cert"},
		{"another machine's", []string{"-listen", "10.1.2.3:0", "-token-file", token}, "other machines reach this address"},
		{"a name", []string{"-listen", "example.com:0", "-token-file", token}, "other machines reach this address"},
		{"both", []string{"-listen", "0.0.0.0:0"}, "a TCP address needs -token-file, because every user of the machine reaches it\n-listen 0.0.0.0:0: other machines"},
		{"no token file", []string{"-token-file", "/nowhere"}, "-token-file: open /nowhere: no such file"},
		{"short token", []string{"-token-file", writeFile(t, "# a comment\n\nci short")}, "line 3: the token has 5 characters and needs 20"},
		{"empty token file", []string{"-token-file", writeFile(t, "\n")}, "the file holds no token"},
		{"many words", []string{"-token-file", writeFile(t, "a b c")}, "line 1 has 3 words"},
		{"twice", []string{"-token-file", writeFile(t, "ci "+testToken+"\nci "+testToken)}, "line 2: there is a token of this name already"},
		{"certificate", []string{"-tls-cert", "/nowhere", "-tls-key", "/nowhere"}, "-tls-cert, -tls-key: open /nowhere"},
		{"shapes", []string{"-shapes", "2.8"}, `-shapes "2.8": expected 3.9 or seed`},
		{"prefix", []string{"-key-prefix", "a-b"}, `-key-prefix: prefix: "a-b" is not usable`},
		{"pepper file", []string{"-pepper-file", "/nowhere"}, "-pepper-file: open /nowhere"},
		{"empty pepper file", []string{"-pepper-file", writeFile(t, "\n")}, "-pepper-file: the file is empty"},
		{"short pepper", []string{"-pepper-file", writeFile(t, "short")}, "-pepper-file: pepper: 5 bytes are too few"},
		{"audit file", []string{"-audit-file", "/nowhere/audit"}, "-audit-file /nowhere/audit: it cannot be written: no such file or directory"},
		{"store", []string{"-store", writeFile(t, "not a keys file\n")}, "-store: "},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"-store", store}, c.args...)
		assert.Equal(t, 2, Run(args, &stdout, &stderr), c.name)
		assert.Contains(t, stderr.String(), c.want, c.name)
		assert.NotContains(t, stderr.String(), testToken, c.name)
		assert.Empty(t, stdout.String(), c.name)
	}
	var stdout, stderr bytes.Buffer
	assert.Equal(t, 0, Run([]string{"-help"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "usage: keyauth admin [flags]")
}

// What keeps it from listening is told with the path that was asked for, and with what to do.
func TestListeningFails(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	store := filepath.Join(t.TempDir(), "keys.jsonl")
	long := "/" + strings.Repeat("long", 30)
	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"no folder", []string{"-listen", "unix:/nowhere/socket"}, "-listen: /nowhere/socket: there is no folder /nowhere; name Kong's prefix with -kong-prefix, or another path\n"},
		{"no prefix", []string{"-kong-prefix", "/nowhere"}, "-listen: /nowhere/keyauth-admin.socket: there is no folder /nowhere; name Kong's prefix"},
		{"too long", []string{"-listen", "unix:" + long}, "-listen: " + long + ": the path is "},
		{"a port in use", []string{"-listen", taken.Addr().String(), "-token-file", writeFile(t, testToken)}, taken.Addr().String() + ": another process listens there; end it, or name another port\n"},
	} {
		var stdout, stderr bytes.Buffer
		assert.Equal(t, 1, Run(append([]string{"-store", store}, c.args...), &stdout, &stderr), c.name)
		assert.Contains(t, stderr.String(), c.want, c.name)
	}
}

// A prefix may be given from where one stands, as to the other commands.
func TestRelativePrefix(t *testing.T) {
	t.Parallel()
	folder, err := filepath.Abs("here")
	require.NoError(t, err)
	c, err := parseCommand([]string{"-kong-prefix", "here"}, io.Discard)
	require.NoError(t, err)
	assert.Equal(t, "unix:"+folder+"/keyauth-admin.socket", c.listen)
	assert.Equal(t, folder+"/keyauth/keys.jsonl", c.storeFile)
}

// Secrets that everybody can read are none, which is said and not refused: in a container everybody is one user.
func TestReadableSecrets(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		path := writeFile(t, testToken)
		require.NoError(t, os.Chmod(path, mode))
		var log strings.Builder
		c, err := parseCommand([]string{"-token-file", path, "-store", filepath.Join(t.TempDir(), "keys.jsonl")}, io.Discard)
		require.NoError(t, err)
		_, err = c.prepare(slog.New(slog.NewJSONHandler(&log, nil)))
		require.NoError(t, err)
		assert.Equal(t, want, strings.Contains(log.String(), "every user of the machine can read"), "%o", mode)
	}
}

// serve runs a command in this process until the test ends and returns its address.
func serve(t *testing.T, args ...string) (net.Addr, *bytes.Buffer) {
	t.Helper()
	c, err := parseCommand(args, io.Discard)
	require.NoError(t, err)
	log := &bytes.Buffer{} // read when the server has ended
	s, err := c.prepare(slog.New(slog.NewJSONHandler(log, nil)))
	require.NoError(t, err)
	listened := make(chan net.Addr, 1)
	s.listened = func(a net.Addr) { listened <- a }
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	stop := sync.OnceFunc(func() { cancel(); assert.NoError(t, <-done) })
	t.Cleanup(stop)
	select {
	case a := <-listened:
		return a, log
	case err := <-done:
		done <- err
		require.NoError(t, err)
		return nil, nil
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tokenFile := writeFile(t, "# two\nci "+testToken+"\nops abcdefghijklmnopqrstuvwxyz\n")
	addr, _ := serve(t, "-listen", "127.0.0.1:0", "-token-file", tokenFile, "-store", filepath.Join(dir, "keys.jsonl"), "-audit-file", filepath.Join(dir, "audit"))
	status := func(header, value string) int {
		r, err := http.NewRequest("PUT", "http://"+addr.String()+"/consumers/alice", nil)
		require.NoError(t, err)
		if header != "" {
			r.Header.Set(header, value)
		}
		resp, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer resp.Body.Close()
		if resp.StatusCode == 401 {
			assert.Equal(t, "Bearer", resp.Header.Get("WWW-Authenticate"))
		}
		return resp.StatusCode
	}
	for _, c := range []struct {
		header, value string
		want          int
	}{
		{"", "", 401},
		{"Kong-Admin-Token", testToken, 200},
		{"Authorization", "Bearer " + testToken, 200},
		{"Authorization", "bearer abcdefghijklmnopqrstuvwxyz", 200},
		{"Kong-Admin-Token", testToken[1:], 401},
		{"Kong-Admin-Token", testToken + "0", 401},
		{"Kong-Admin-Token", "ci " + testToken, 401},
		{"Kong-Admin-Token", "ci", 401},
		{"Authorization", testToken, 401},
		{"Authorization", "Basic " + testToken, 401},
		{"Authorization", "Bearer ", 401},
	} {
		assert.Equal(t, c.want, status(c.header, c.value), "%s: %s", c.header, c.value)
	}
	audit, err := os.ReadFile(filepath.Join(dir, "audit"))
	require.NoError(t, err)
	assert.Contains(t, string(audit), `"who":"ci"`)
	assert.Contains(t, string(audit), `"who":"ops"`)
	assert.NotContains(t, string(audit), testToken)
}

func overSocket(path string) *http.Client {
	return &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
}

// A unix socket is for its owner, who is known by the system.
func TestSocket(t *testing.T) {
	t.Parallel()
	prefix, err := os.MkdirTemp("", "ka") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(prefix) })
	socket := filepath.Join(prefix, "keyauth-admin.socket")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
	require.NoError(t, err)
	l.SetUnlinkOnClose(false)
	require.NoError(t, l.Close()) // left by a process that died
	serve(t, "-kong-prefix", prefix, "-audit-file", filepath.Join(prefix, "audit"))
	info, err := os.Stat(socket)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	client := overSocket(socket)
	defer client.CloseIdleConnections()
	r, err := http.NewRequest("PUT", "http://admin/consumers/alice", nil)
	require.NoError(t, err)
	resp, err := client.Do(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, 200, resp.StatusCode)
	audit, err := os.ReadFile(filepath.Join(prefix, "audit"))
	require.NoError(t, err)
	assert.Contains(t, string(audit), fmt.Sprintf(`"who":"uid:%d"`, os.Getuid()))
	assert.FileExists(t, filepath.Join(prefix, "keyauth", "keys.jsonl"))

	var stderr bytes.Buffer
	assert.Equal(t, 1, Run([]string{"-kong-prefix", prefix}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "another process listens there")
	assert.Equal(t, 1, Run([]string{"-kong-prefix", prefix, "-listen", "unix:" + filepath.Join(prefix, "audit")}, io.Discard, &stderr))
	assert.Contains(t, stderr.String(), "there is something else than a socket")
}

// certificate writes one for this machine that is good until end, and its key.
func certificate(t *testing.T, end time.Time) (der []byte, certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err = x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	require.NoError(t, err)
	pkcs, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return der, writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		writeFile(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs})))
}

// A certificate that has expired is used and spoken of: clients say what they think of it.
func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	for end, want := range map[time.Time]bool{time.Now().Add(time.Hour): false, time.Now().Add(-time.Hour): true} {
		_, cert, key := certificate(t, end)
		var log strings.Builder
		c, err := parseCommand([]string{"-tls-cert", cert, "-tls-key", key, "-store", filepath.Join(t.TempDir(), "keys.jsonl")}, io.Discard)
		require.NoError(t, err)
		_, err = c.prepare(slog.New(slog.NewJSONHandler(&log, nil)))
		require.NoError(t, err)
		assert.Equal(t, want, strings.Contains(log.String(), "the certificate of -tls-cert has expired"), "%s", &log)
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	der, cert, pair := certificate(t, time.Now().Add(time.Hour))
	addr, _ := serve(t, "-listen", "0.0.0.0:0", "-token-file", writeFile(t, testToken), "-tls-cert", cert, "-tls-key", pair,
		"-store", filepath.Join(dir, "keys.jsonl"), "-shapes", "seed")
	_, port, err := net.SplitHostPort(addr.String())
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(&x509.Certificate{})
	parsed, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots.AddCert(parsed)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest("GET", "https://127.0.0.1:"+port+"/consumers?size=1", nil)
	require.NoError(t, err)
	r.Header.Set("Kong-Admin-Token", testToken)
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, 2, resp.ProtoMajor)
	assert.JSONEq(t, `{"data":[],"total":0}`, string(body))
}

// A process is the command as one of its own.
type process struct {
	cmd    *exec.Cmd
	client *http.Client
}

func startProcess(t *testing.T, storeFile, socket string) *process {
	t.Helper()
	executable, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(executable, "-store", storeFile, "-listen", "unix:"+socket)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	require.NoError(t, cmd.Start())
	p := &process{cmd: cmd, client: overSocket(socket)}
	t.Cleanup(p.kill)
	require.Eventually(t, func() bool {
		resp, err := p.client.Get("http://admin/consumers?size=1")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	}, patience, time.Millisecond)
	return p
}

func (p *process) kill() {
	_ = p.cmd.Process.Signal(syscall.SIGKILL)
	_ = p.cmd.Wait()
	p.client.CloseIdleConnections()
}

// What was answered with success is there after processes were killed in the middle of their work, and what was answered with
// 204 is gone.
func TestKilledProcesses(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ka")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	file := filepath.Join(dir, "keyauth", "keys.jsonl")
	var mu sync.Mutex
	there := map[string]bool{} // by key; false for those that were removed
	touched := map[string]bool{}
	for round := range 4 {
		processes := []*process{startProcess(t, file, filepath.Join(dir, "a")), startProcess(t, file, filepath.Join(dir, "b"))}
		enough := make(chan struct{}, 100)
		var wg sync.WaitGroup
		for i, p := range processes {
			resp, err := p.client.Do(request(t, "PUT", "/consumers/alice"))
			require.NoError(t, err)
			resp.Body.Close()
			for j := range 2 {
				wg.Go(func() {
					for n := 0; ; n++ {
						k := fmt.Sprintf("key-%d-%d-%d-%d", round, i, j, n)
						resp, err := p.client.Do(request(t, "PUT", "/consumers/alice/key-auth/"+k))
						if err != nil {
							return // killed
						}
						resp.Body.Close()
						assert.Equal(t, 200, resp.StatusCode)
						mu.Lock()
						there[k] = true
						mu.Unlock()
						if n%3 == 2 {
							mu.Lock()
							touched[k] = true
							mu.Unlock()
							resp, err := p.client.Do(request(t, "DELETE", "/key-auths/"+k))
							if err != nil {
								return
							}
							resp.Body.Close()
							assert.Equal(t, 204, resp.StatusCode)
							mu.Lock()
							there[k] = false
							mu.Unlock()
						}
						select {
						case enough <- struct{}{}:
						default:
						}
					}
				})
			}
		}
		for range 12 {
			<-enough
		}
		for _, p := range processes {
			p.kill()
		}
		wg.Wait()
	}
	a := newTestAPI(t)
	a.Store = reopen(t, file)
	kept, gone := 0, 0
	for k, want := range there {
		code := a.send("GET", "/key-auths/"+k, "").Code
		switch {
		case want && !touched[k]:
			assert.Equal(t, 200, code, k)
			kept++
		case !want:
			assert.Equal(t, 404, code, k)
			gone++
		}
	}
	assert.Positive(t, kept)
	assert.Positive(t, gone)
	left, err := filepath.Glob(file + ".new-*")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func request(t *testing.T, method, path string) *http.Request {
	r, err := http.NewRequest(method, "http://admin"+path, nil)
	assert.NoError(t, err)
	return r
}

// A TERM lets the process finish and takes its socket away.
func TestTerm(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ka")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := startProcess(t, filepath.Join(dir, "keys.jsonl"), filepath.Join(dir, "s"))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait())
	assert.Equal(t, 0, p.cmd.ProcessState.ExitCode())
	assert.NoFileExists(t, filepath.Join(dir, "s"))
}

// A process that still finishes requests, when the next one listens already, leaves the next one's socket.
func TestTermAfterTheNextOneHasStarted(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "ka")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	p := startProcess(t, filepath.Join(dir, "keys.jsonl"), socket)
	next, err := net.Listen("unix", filepath.Join(dir, "next"))
	require.NoError(t, err)
	defer func() { _ = next.Close() }()
	require.NoError(t, os.Rename(filepath.Join(dir, "next"), socket))
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.cmd.Wait())
	c, err := net.Dial("unix", socket)
	require.NoError(t, err)
	_ = c.Close()
}

// Paths hold keys, so the log shows the route's pattern, and never what was asked for.
func TestLogShowsNoKey(t *testing.T) {
	t.Parallel()
	a := newTestAPI(t)
	for _, path := range []string{"/key-auths/secret-key", "/secret-key", "/consumers/x/key-auth/secret-key?key=secret-key&a=%zz", "/key-auths?key=secret-key", "/key-auths?offset=secret-key"} {
		for _, method := range []string{"GET", "PUT", "DELETE", "SECRET-KEY"} {
			a.send(method, path, `{"consumer":{"username":"secret-key"},"secret-key":1}`)
		}
	}
	assert.NotContains(t, strings.ToLower(a.log.String()), "secret")
	assert.Contains(t, a.log.String(), `"route":"/key-auths/{key}"`)
}
