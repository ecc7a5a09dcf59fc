package kongdev

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"

	"kong-go-plugins/internal/kongdev/errorlog"
)

// certificatePhase runs the global certificate handlers for one TLS handshake,
// before a certificate is chosen. There is no request yet. An error ends the
// handshake.
func (g *Gateway) certificatePhase(hello *tls.ClientHelloInfo) error {
	gen := g.enter()
	if gen == nil {
		return errors.New("the gateway is closing")
	}
	defer gen.active.leave()
	if len(gen.certificates) == 0 {
		return nil
	}
	ctx := context.WithValue(hello.Context(), http.LocalAddrContextKey, hello.Conn.LocalAddr())
	in := (&http.Request{
		RequestURI: "/", Header: http.Header{}, Body: http.NoBody, RemoteAddr: hello.Conn.RemoteAddr().String(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, TLS: &tls.ConnectionState{ServerName: hello.ServerName},
	}).WithContext(ctx)
	q := newBareRequest(g, gen, noResponse{}, in)
	defer q.end()
	q.phase = phaseCertificate
	for _, conf := range gen.certificates {
		q.ctx.pluginID = conf.entity.ID
		if err := q.handleEvent(conf, "certificate"); err != nil {
			q.fail(conf, "certificate", err)
			g.log.Printf(errorlog.Err, "[%s] %v, certificate phase, client: %s", conf.plugin.Name, err, q.clientIP)
			return fmt.Errorf("certificate phase of %s: %w", conf.plugin.Name, err)
		}
	}
	return nil
}

// withCertificatePhase makes the listeners' handshakes begin with that phase.
func (g *Gateway) withCertificatePhase(listeners []proxyListener) {
	for _, l := range listeners {
		if l.config != nil {
			l.config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				return nil, g.certificatePhase(hello)
			}
		}
	}
}

// noResponse takes nothing: a handshake has none.
type noResponse struct{}

func (noResponse) Header() http.Header         { return http.Header{} }
func (noResponse) Write(b []byte) (int, error) { return 0, net.ErrClosed }
func (noResponse) WriteHeader(int)             {}
