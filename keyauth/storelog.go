package keyauth

import (
	"context"
	"log/slog"
	"strings"
)

// A storeLog takes what stores log: warnings and errors are reported to the operator, each at most once a minute.
type storeLog struct {
	report func(cause, text string)
	prefix string // attributes that were given to the logger
}

// storeLog is the logger of stores.
func (g *Gate) storeLog() *slog.Logger { return slog.New(storeLog{report: g.report}) }

// Enabled implements slog.Handler.
func (h storeLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

// Handle implements slog.Handler.
func (h storeLog) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	b.WriteString(h.prefix)
	b.WriteString(strings.TrimPrefix(r.Message, "keyauth: "))
	r.Attrs(func(a slog.Attr) bool {
		b.WriteString(": " + a.Value.Resolve().String())
		return true
	})
	text := "store: " + strings.ReplaceAll(b.String(), "\n", "; ")
	h.report(text, text)
	return nil
}

// WithAttrs implements slog.Handler.
func (h storeLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.prefix += a.Value.Resolve().String() + ": "
	}
	return h
}

// WithGroup implements slog.Handler.
func (h storeLog) WithGroup(string) slog.Handler { return h }
