package moesif

import (
	"errors"
	"flag"
	"path/filepath"
	"slices"
	"strings"
)

// buffering says who decides whether Kong buffers a response: without that its body cannot be seen.
type buffering string

const (
	bufferAuto     buffering = "auto"      // Kong does, because there is a response phase; access switches it off where no body is wanted
	bufferAlways   buffering = "always"    // Kong does, and nobody interferes
	bufferOnDemand buffering = "on-demand" // access switches it on where a body is wanted; for a plugin without a response phase
)

// A mode is how the process was started: the same for all its configurations.
type mode struct {
	phases    []string // nil: all
	buffering buffering
	prefix    string // Kong's
}

func (m mode) has(phase string) bool { return m.phases == nil || slices.Contains(m.phases, phase) }

// buffersAll reports whether Kong buffers each response that access does not exempt.
func (m mode) buffersAll() bool { return m.has("response") }

// onDemand reports whether access asks for buffering.
func (m mode) onDemand() bool { return !m.has("response") && m.buffering == bufferOnDemand }

// exempts reports whether access switches buffering off where no body is wanted.
func (m mode) exempts() bool { return m.buffersAll() && m.buffering != bufferAlways }

// warning says what is odd about the mode, "" for nothing.
func (m mode) warning() string {
	if m.buffering == bufferOnDemand && (m.has("response") || !m.has("access")) {
		return "-buffer on-demand has no effect without -phases access,log, in the query command and the start command"
	}
	return ""
}

// registerFlags adds the plugin's own flags, and keeps those of the server that shape how requests are captured.
func (c *Capture) registerFlags(f *flag.FlagSet) {
	f.Func("buffer", "which responses Kong buffers, `way`: auto (all, but where no body is wanted), always, or on-demand (those whose\nbody is wanted; with -phases access,log)", func(s string) error {
		way := buffering(s)
		if !slices.Contains([]buffering{bufferAuto, bufferAlways, bufferOnDemand}, way) {
			return errors.New("expected auto, always or on-demand")
		}
		c.mode.buffering = way
		return nil
	})
	c.collector.register(f)
	c.serverFlags = f
}

// started reads the server's flags, which have been parsed when the first configuration comes.
func (c *Capture) started() mode {
	c.startOnce.Do(func() {
		flags := c.serverFlags
		if flags == nil { // go-pdk's own server has its flags there
			flags = flag.CommandLine
		}
		value := func(name string) string {
			if f := flags.Lookup(name); f != nil {
				return f.Value.String()
			}
			return ""
		}
		for phase := range strings.SplitSeq(value("phases"), ",") {
			if phase = strings.TrimSpace(phase); phase != "" {
				c.mode.phases = append(c.mode.phases, phase)
			}
		}
		if prefix, err := filepath.Abs(value("kong-prefix")); err == nil && value("kong-prefix") != "" {
			c.mode.prefix = prefix
		}
		if w := c.mode.warning(); w != "" {
			c.report("flags", w)
		}
	})
	return c.mode
}
