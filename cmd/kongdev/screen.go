package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/term"
)

// A screen prints for people: in colour and cut to the window on a terminal,
// plain and in full width elsewhere.
type screen struct {
	w      io.Writer
	colour bool
	width  int
	gone   func() // called when w takes nothing any more; may be nil
}

const plainWidth = 160

func newScreen(w io.Writer) *screen {
	s := &screen{w: w, width: plainWidth}
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return s
	}
	s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns >= 40 {
		s.width = columns
	}
	return s
}

// style is an ANSI style.
type style string

const (
	bold   style = "1"
	dim    style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
	cyan   style = "36"
)

func (s *screen) in(st style, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + string(st) + "m" + text + "\x1b[0m"
}

func (s *screen) line(text string) {
	if _, err := fmt.Fprintln(s.w, text); err != nil && s.gone != nil {
		s.gone()
	}
}

func (s *screen) blank() { s.line("") }

func (s *screen) title(name, text string) {
	s.line(s.in(bold, name) + "  " + text)
}

func (s *screen) row(label, text string) {
	st := dim
	if label == "warning" {
		st = yellow
	}
	s.line("  " + s.in(st, fmt.Sprintf("%-10s", label)) + clean(text))
}

// status is an HTTP status in the colour of its class.
func (s *screen) status(code int) string {
	st := green
	switch {
	case code >= 500:
		st = red
	case code >= 400:
		st = yellow
	}
	return s.in(st, fmt.Sprint(code))
}

// event prints a captured event: what it was, then its two halves. mark stands
// before it and about behind it; both may be empty.
func (s *screen) event(e event, mark, about string) {
	if mark != "" {
		mark += " "
	}
	head := fmt.Sprintf("%s%s %-6s %s", mark, s.status(e.Response.Status), clean(e.Request.Verb), s.in(bold, s.fit(e.path(), 60)))
	if e.UserID != "" {
		head += "  " + s.in(cyan, "user "+clean(e.UserID))
	}
	if e.CompanyID != "" {
		head += "  " + s.in(cyan, "company "+clean(e.CompanyID))
	}
	if about != "" {
		head += "  " + s.in(dim, about)
	}
	s.line(head)
	s.half("request", e.Request.half, e.from())
	s.half("response", e.Response.half, e.took())
}

func (s *screen) half(label string, h half, extra string) {
	parts := []string{}
	if t := h.header("content-type"); t != "" {
		parts = append(parts, t)
	}
	if c := h.header("content-encoding"); c != "" {
		parts = append(parts, c)
	}
	if extra != "" {
		parts = append(parts, extra)
	}
	body := h.describe()
	if body != "" {
		parts = append(parts, body)
	}
	if len(parts) == 0 {
		return
	}
	s.line("    " + s.in(dim, fmt.Sprintf("%-9s", label)) + s.fit(strings.Join(parts, "  "), 13))
}

// fit makes text one line that ends before the window does; used is how many
// columns stand before it.
func (s *screen) fit(text string, used int) string {
	text = clean(text)
	room := max(s.width-used, 20)
	if utf8.RuneCountInString(text) <= room {
		return text
	}
	runes := []rune(text)
	return string(runes[:room-1]) + "…"
}

// clean takes out what could steer a terminal: captured traffic is anybody's
// text.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' {
			return ' '
		}
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
