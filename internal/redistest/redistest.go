// Package redistest starts Redis servers for tests: the real one, of the Debian package redis-server, on free ports of this
// machine and without anything on disk that outlives the test.
package redistest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// patience is for a machine that is busy.
const patience = time.Minute

// A Server is one process. It loses what it holds when it ends.
type Server struct {
	Port, TLSPort int
	CAFile        string // the certificate of TLSPort, which is its own authority

	dir  string
	args []string
	cmd  *exec.Cmd
	died chan struct{}
}

// Start starts a server with further arguments. It ends with the test.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), args: args}
	s.CAFile = filepath.Join(s.dir, "cert.pem")
	selfSigned(t, s.CAFile, filepath.Join(s.dir, "key.pem"))
	t.Cleanup(s.Kill)
	s.Port, s.TLSPort = reservePort(t), reservePort(t)
	require.NoError(t, s.run(), "redis-server does not start; is the Debian package redis-server there?")
	return s
}

// Restart starts a killed server again on its ports.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	require.NoError(t, s.run())
}

// Addr is the address without TLS.
func (s *Server) Addr() string { return fmt.Sprintf("127.0.0.1:%d", s.Port) }

// TLSAddr is the address with TLS.
func (s *Server) TLSAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.TLSPort) }

// TLS trusts the server's certificate.
func (s *Server) TLS(t testing.TB) *tls.Config {
	text, err := os.ReadFile(s.CAFile)
	require.NoError(t, err)
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	require.True(t, c.RootCAs.AppendCertsFromPEM(text))
	return c
}

// Client returns a client of the server.
func (s *Server) Client(t testing.TB) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: s.Addr(), DialTimeout: patience, ReadTimeout: patience, WriteTimeout: patience})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Hang stops the process without ending it: when Hang has returned, connections are accepted and nothing is answered. Resume
// goes on.
func (s *Server) Hang() {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	for deadline := time.Now().Add(patience); !s.stands() && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
}

// stands reports whether the process has stopped, for which the signal may take a while, or has ended.
func (s *Server) stands() bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.cmd.Process.Pid))
	_, state, _ := bytes.Cut(text, []byte(") "))
	return err != nil || bytes.HasPrefix(state, []byte("T"))
}

// Resume ends Hang.
func (s *Server) Resume() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }

// Kill ends the process at once.
func (s *Server) Kill() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.died
	}
}

func (s *Server) run() error {
	all := append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--save", "", "--dir", s.dir, "--tls-port", strconv.Itoa(s.TLSPort),
		"--tls-cert-file", s.CAFile, "--tls-key-file", filepath.Join(s.dir, "key.pem"), "--tls-ca-cert-file", s.CAFile, "--tls-auth-clients", "no",
	}, s.args...)
	s.cmd = exec.Command("redis-server", all...)
	return s.start(s.Addr())
}

// start starts the process and waits until it answers.
func (s *Server) start(addr string) error {
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s.cmd.Env = append(os.Environ(), "LC_ALL=C") // newer servers end when the locale is not installed
	s.died = make(chan struct{})
	if err := s.cmd.Start(); err != nil {
		close(s.died)
		return err
	}
	go func() {
		defer close(s.died)
		_ = s.cmd.Wait()
	}()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		select {
		case <-s.died:
			return errors.New("it ended")
		default:
		}
		if answers(addr) {
			return nil
		}
	}
	return errors.New("it does not answer")
}

// answers reports whether a PING is answered.
func answers(addr string) bool { return says(addr, "PING", "+PONG") }

// says sends a command and reports whether this is its answer. It does without the client library, whose clients log, to a
// variable that the code under test sets.
func says(addr, command, want string) bool {
	c, err := net.DialTimeout("tcp", addr, patience)
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(patience))
	reply := make([]byte, len(want))
	_, err = io.WriteString(c, command+"\r\n")
	if err == nil {
		_, err = io.ReadFull(c, reply)
	}
	return err == nil && string(reply) == want
}

// sentinelDown is the silence after which a sentinel holds a server for dead. It promotes no replica that had lost the master
// more than ten times this before the sentinel found the master dead.
const sentinelDown = 5 * time.Second

// neverTilt keeps a sentinel from looking away for 30 s whenever it was not run for 2 s: on a machine with such pauses every
// now and then, a failover would never come.
const neverTilt = "SENTINEL DEBUG tilt-trigger 3600000"

// StartSentinel starts a sentinel that watches master under a name. A failover takes some seconds, half a minute at worst.
func StartSentinel(t testing.TB, name string, master *Server) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir()}
	t.Cleanup(s.Kill)
	s.Port = reservePort(t)
	file := filepath.Join(s.dir, "sentinel.conf") // sentinels write into it
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor %s 127.0.0.1 %d 1\nsentinel down-after-milliseconds %s %d\n"+
		"sentinel failover-timeout %s 2000\n", s.Port, s.dir, name, master.Port, name, sentinelDown.Milliseconds(), name)
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	s.cmd = exec.Command("redis-server", file, "--sentinel")
	require.NoError(t, s.start(s.Addr()), "the sentinel does not start")
	require.True(t, says(s.Addr(), neverTilt, "+OK"), "the sentinel does not take %s", neverTilt)
	return s
}

// nodeTimeout is the silence, in milliseconds, after which nodes of a cluster hold one for dead and answer nothing any more:
// longer than a busy machine takes to run each of them.
const nodeTimeout = "60000"

// StartCluster starts three nodes that share the slots.
func StartCluster(t testing.TB) []*Server {
	t.Helper()
	var nodes []*Server
	for range 3 {
		nodes = append(nodes, Start(t, "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(reservePort(t)), "--cluster-node-timeout", nodeTimeout))
	}
	ctx := t.Context()
	first := nodes[0].Client(t)
	for i, n := range nodes {
		c := n.Client(t)
		require.NoError(t, c.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", i*5462, min(i*5462+5461, 16383)).Err())
		bus, err := c.ConfigGet(ctx, "cluster-port").Result()
		require.NoError(t, err)
		require.NoError(t, first.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", n.Port, bus["cluster-port"]).Err())
	}
	for _, n := range nodes {
		c := n.Client(t)
		require.Eventually(t, func() bool {
			info, err := c.ClusterInfo(ctx).Result()
			known, _ := c.ClusterShards(ctx).Result()
			return err == nil && len(known) == 3 && len(info) > 16 && info[:16] == "cluster_state:ok"
		}, patience, 20*time.Millisecond)
	}
	return nodes
}

// reservePort returns a port that the system gives to nobody else until the test ends, also while no server listens there: a
// socket that does not listen holds it, beside which one that asks for this very port may be bound.
func reservePort(t testing.TB) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	at, err := unix.Getsockname(fd)
	require.NoError(t, err)
	return at.(*unix.SockaddrInet4).Port
}

func selfSigned(t testing.TB, certFile, keyFile string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "redis test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: keyDER}} {
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))
	}
}
