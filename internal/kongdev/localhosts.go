package kongdev

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"time"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// localHosts serves the upstreams that live in this process on loopback ports.
type localHosts struct {
	addrs   map[string]netip.AddrPort
	servers []*http.Server
}

func newLocalHosts(handlers map[string]http.Handler) (*localHosts, error) {
	h := &localHosts{addrs: map[string]netip.AddrPort{}}
	for name, handler := range handlers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			h.close()
			return nil, fmt.Errorf("built-in upstream %s: %w", name, err)
		}
		s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(discard{}, "", 0)}
		h.servers = append(h.servers, s)
		h.addrs[name] = l.Addr().(*net.TCPAddr).AddrPort()
		go func() { _ = s.Serve(l) }()
	}
	return h, nil
}

func (h *localHosts) close() {
	for _, s := range h.servers {
		_ = s.Close()
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// newServerLog makes net/http's complaints lines of the error log.
func newServerLog(l *errorlog.Log) *log.Logger { return log.New(serverLog{l}, "", 0) }

type serverLog struct{ log *errorlog.Log }

func (s serverLog) Write(b []byte) (int, error) {
	s.log.Printf(errorlog.Info, "%s", b)
	return len(b), nil
}
