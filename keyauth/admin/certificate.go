package admin

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files of a certificate are looked at, at a connection.
const certificateEvery = 10 * time.Second

// A servedCertificate is the certificate to serve HTTPS with. It is read again when its files have changed, so that a renewed
// one counts without a restart; one that cannot be used does not take the place of the one before.
type servedCertificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex
	pair   *tls.Certificate
	read   [2]time.Time // when the files were last changed, as of the last good reading
	wrong  string       // what was said of a reading since
	looked time.Time
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*servedCertificate, error) {
	c := &servedCertificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	c.looked, c.read = c.now(), c.changed()
	return c, c.load()
}

// get is for tls.Config.
func (c *servedCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.looked) >= certificateEvery {
		c.looked = now
		if changed := c.changed(); changed != c.read {
			switch err := c.load(); {
			case err == nil:
				c.read, c.wrong = changed, ""
				c.log.Info("the certificate of -tls-cert was read again", "until", c.pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
			case err.Error() != c.wrong:
				c.wrong = err.Error()
				c.log.Error("the certificate of -tls-cert has changed and cannot be used; the one before is", "error", err)
			}
		}
	}
	return c.pair, nil
}

func (c *servedCertificate) changed() (times [2]time.Time) {
	for i, path := range []string{c.certFile, c.keyFile} {
		if info, err := os.Stat(path); err == nil {
			times[i] = info.ModTime()
		}
	}
	return times
}

func (c *servedCertificate) load() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("-tls-cert, -tls-key: %w", err)
	}
	if end := pair.Leaf.NotAfter; c.now().After(end) {
		c.log.Warn("the certificate of -tls-cert has expired: clients will refuse it", "at", end.UTC().Format(time.RFC3339))
	}
	c.pair = &pair
	return nil
}
