package store

import (
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A health keeps what was the last result of work in the background, and logs what is wrong: at once when it is new, then
// every minute while it lasts.
type health struct {
	what string
	log  *slog.Logger

	mu     sync.Mutex
	err    error
	text   string
	logged time.Time
}

// reportEvery is how often one lasting problem is logged.
const reportEvery = time.Minute

func (h *health) last() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

func (h *health) set(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	recovered := h.err != nil && err == nil
	h.err = err
	switch {
	case recovered:
		h.text = ""
		h.log.Info("keyauth: " + h.what + " works again")
	case err != nil && (Text(err) != h.text || time.Since(h.logged) >= reportEvery):
		h.text, h.logged = Text(err), time.Now()
		h.log.Error("keyauth: something is wrong with "+h.what+"; what was known before is used where it can be", "error", h.text)
	}
}

// localAddress is this side's of a connection, with a port that is another one each time. Source: net.OpError.
var localAddress = regexp.MustCompile(`\S+->`) // read-only

// Text is what an operator is told of an error: a line, which is the same as long as the cause is.
func Text(err error) string {
	return strings.ReplaceAll(localAddress.ReplaceAllString(err.Error(), ""), "\n", "; ")
}
