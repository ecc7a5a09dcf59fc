package moesif

import (
	"strings"

	"github.com/Kong/go-pdk"
)

var _ interface {
	Access(*pdk.PDK)
	Response(*pdk.PDK)
	Log(*pdk.PDK)
} = (*Config)(nil)

// maxHeaders is how many headers are asked for where Kong's own limit of 100 can be raised.
const maxHeaders = 1000

// settings returns the checked configuration, or nil for a wrong one, which is reported once and costs only its events.
func (c *Config) settings() *settings {
	s, err := c.resolve()
	if c.reported.CompareAndSwap(false, true) {
		if err != nil {
			c.capture.stats.configErrors.Inc()
			c.capture.report("config", "configuration: "+strings.ReplaceAll(err.Error(), "\n", "; ")+"; its requests pass and are not captured")
		}
		for _, w := range c.Warnings() {
			c.capture.report(w, "configuration: "+w)
		}
	}
	return s
}

// Prepare brings the configuration's application to life, so that its rules are fetched and its spool is sent before the
// first request. It never fails; what is wrong with the configuration is said here.
func (c *Config) Prepare() {
	if s := c.settings(); s != nil {
		_, done := c.lease.get(c.capture, s)
		done()
	}
}

// Close gives the configuration's application back. Kong has no event for it any more.
func (c *Config) Close() { c.lease.end() }
