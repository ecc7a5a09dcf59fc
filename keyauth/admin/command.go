package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"kong-go-plugins/keyauth/key"
	"kong-go-plugins/keyauth/store"
)

const usage = `keyauth admin serves an Admin API like Kong's for the keys file of a node: consumers, their API keys, rotation.

usage: keyauth admin [flags]

The plugin sees changes within seconds. A TCP address needs -token-file. Run it as Kong's user, or as root.

`

// A command is the command line of keyauth admin.
type command struct {
	listen, prefix, storeFile, tokenFile, pepperFile, auditFile string
	tlsCert, tlsKey, keyPrefix, shapes                          string
	plain                                                       bool
}

func parseCommand(args []string, help io.Writer) (c command, err error) {
	f := flag.NewFlagSet("keyauth admin", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&c.listen, "listen", "unix:<kong-prefix>/keyauth-admin.socket", "`address` to listen at: unix:/path, or host:port (127.0.0.1:8001)")
	f.StringVar(&c.prefix, "kong-prefix", "/usr/local/kong", "Kong's prefix, a `folder`")
	f.StringVar(&c.storeFile, "store", "<kong-prefix>/keyauth/keys.jsonl", "the keys `file`; the plugin's parameter snapshot names the same")
	f.StringVar(&c.tokenFile, "token-file", "", "`file` with a name and a token a line; requests must carry one of them")
	f.StringVar(&c.pepperFile, "pepper-file", "", "`file` with the plugin's pepper, and previous ones in the lines below it; without, keys are hashed without a pepper")
	f.StringVar(&c.auditFile, "audit-file", "", "`file` to append a JSON line to for each change; without, changes are in the log")
	f.StringVar(&c.keyPrefix, "key-prefix", "", "generate keys as PREFIX_SECRET_CHECKSUM with this `prefix`, instead of Kong's 32 characters")
	f.StringVar(&c.shapes, "shapes", "3.9", "`version` of Kong whose bodies and errors are given: 3.9, or seed for 0.x")
	f.StringVar(&c.tlsCert, "tls-cert", "", "PEM `file` with the certificate to serve HTTPS with")
	f.StringVar(&c.tlsKey, "tls-key", "", "PEM `file` with its private key")
	f.BoolVar(&c.plain, "plain-http", false, "allow an address that other machines reach without TLS: whoever listens on the way sees keys and tokens")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Fprint(help, usage)
			f.SetOutput(help)
			f.PrintDefaults()
		}
		return c, err
	}
	if f.NArg() > 0 {
		return c, fmt.Errorf("argument %q: not expected; every setting is a flag", f.Arg(0))
	}
	prefix, err := filepath.Abs(c.prefix)
	if err != nil {
		return c, fmt.Errorf("-kong-prefix %s: %w", c.prefix, err)
	}
	for _, path := range []*string{&c.storeFile, &c.listen} {
		*path = strings.Replace(*path, "<kong-prefix>", prefix, 1)
	}
	return c, nil
}

// Run is the command keyauth admin; it returns the exit status. It serves until it gets a TERM or INT, and then finishes
// the requests that it has.
func Run(args []string, stdout, stderr io.Writer) int {
	c, err := parseCommand(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var server *server
	if err == nil {
		server, err = c.prepare(slog.New(slog.NewJSONHandler(stderr, nil)))
	}
	if err != nil {
		fmt.Fprintf(stderr, "keyauth admin: %v\n", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.run(ctx); err != nil {
		fmt.Fprintf(stderr, "keyauth admin: %v\n", err)
		return 1
	}
	return 0
}

// A server is a checked command line.
type server struct {
	api      *API
	address  address
	tokens   tokens
	tls      *tls.Config // nil: none
	listened func(net.Addr)
}

// prepare checks the command line and everything that it names.
func (c command) prepare(log *slog.Logger) (s *server, err error) {
	s = &server{}
	var wrong []error
	check := func(err error) {
		if err != nil {
			wrong = append(wrong, err)
		}
	}
	s.address, err = parseAddress(c.listen)
	check(err)
	if c.tokenFile != "" {
		s.tokens, err = readTokens(c.tokenFile)
		check(err)
	} else if s.address.network == "tcp" {
		check(fmt.Errorf("-listen %s: a TCP address needs -token-file, because every user of the machine reaches it", c.listen))
	}
	if c.tlsCert != "" || c.tlsKey != "" {
		certificate, err := openCertificate(c.tlsCert, c.tlsKey, log)
		check(err)
		s.tls = &tls.Config{GetCertificate: certificate.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}}
	} else if !s.address.local && s.address.network == "tcp" && !c.plain {
		check(fmt.Errorf("-listen %s: other machines reach this address; give -tls-cert and -tls-key, or -plain-http if something else encrypts", c.listen))
	}
	if c.shapes != "3.9" && c.shapes != "seed" {
		check(fmt.Errorf("-shapes %q: expected 3.9 or seed", c.shapes))
	}
	if c.keyPrefix != "" {
		if err := key.CheckPrefix(c.keyPrefix); err != nil {
			check(fmt.Errorf("-key-prefix: %w", err))
		}
	}
	hasher, err := key.ReadHasher(c.pepperFile)
	if err != nil {
		check(fmt.Errorf("-pepper-file: %w", err))
	}
	audit, err := NewAudit(c.auditFile, log)
	if err != nil {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err
		}
		check(fmt.Errorf("-audit-file %s: it cannot be written: %w", c.auditFile, err))
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	for _, path := range []string{c.tokenFile, c.pepperFile, c.tlsKey} {
		if info, err := os.Stat(path); path != "" && err == nil && info.Mode().Perm()&0o004 != 0 {
			log.Warn("every user of the machine can read a secret file", "file", path)
		}
	}
	file, err := store.OpenJournalAdmin(c.storeFile)
	if err != nil {
		return nil, fmt.Errorf("-store: %w", err)
	}
	for _, text := range store.Warnings(c.storeFile) {
		log.Warn(text)
	}
	s.api = New(Options{
		Store: file, LastUses: store.OpenLastUses(c.storeFile), Hasher: hasher, KeyPrefix: c.keyPrefix, Seed: c.shapes == "seed",
		Audit: audit, Log: log,
	})
	return s, nil
}

// Times that a client may take, and that ending may.
const (
	headerTime = 5 * time.Second
	readTime   = 15 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = time.Minute
	endTime    = 10 * time.Second
	maxHeader  = 64 << 10 // bytes
)

// run serves until ctx ends.
func (s *server) run(ctx context.Context) error {
	log := s.api.Log
	listener, err := s.address.listen()
	if err != nil {
		return fmt.Errorf("-listen: %w", err)
	}
	h := &http.Server{
		Handler:           s.tokens.guard(s.api, s.api.refused),
		ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: writeTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn), ConnContext: senderOf, TLSConfig: s.tls,
	}
	defer s.address.remove(s.address.socket())
	var purging sync.WaitGroup
	defer purging.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	purging.Go(func() { s.api.purgeAlways(ctx) })
	serve := func() error { return h.Serve(listener) }
	if s.tls != nil {
		serve = func() error { return h.ServeTLS(listener, "", "") }
	}
	where := listener.Addr().String()
	if s.address.network == "unix" {
		where = s.address.text // it was made under another name
	}
	log.Info("serving", "address", where, "tls", s.tls != nil, "tokens", len(s.tokens))
	if s.listened != nil {
		s.listened(listener.Addr())
	}
	ended := make(chan error, 1)
	go func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("panic: %T", r)
			}
		}()
		ended <- serve()
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
		waiting, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		err = h.Shutdown(waiting)
		<-ended
	}
	return errors.Join(err, s.api.Store.Close())
}
