package cli

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"kong-go-plugins/datakit"
)

// timeline writes a trace as text, an event per line. Times are left out where the clock stands still.
func timeline(t *datakit.Trace, timed bool) string {
	width := len("service_response")
	for _, n := range t.Nodes() {
		width = max(width, len(n.Name))
	}
	var b strings.Builder
	for _, e := range t.Events() {
		b.WriteString("  ")
		if timed {
			ns, _ := strconv.ParseInt(e.At, 10, 64)
			fmt.Fprintf(&b, "%9.3f ms  ", float64(ns)/1e6)
		}
		line := fmt.Sprintf("%-*s  %-8s", width, e.Name, e.Action)
		if e.Value != nil {
			line += "  " + valueText(e.Value)
		}
		if e.Error != "" {
			line += "  error: " + e.Error
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return b.String()
}

// valueText is what flowed, as JSON, cut where it is long.
func valueText(v *datakit.TraceValue) string {
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if e.Encode(plain(v)) != nil {
		return "…"
	}
	const most = 160
	s := []rune(strings.TrimSuffix(text.String(), "\n"))
	if len(s) > most {
		return string(s[:most]) + "…"
	}
	return string(s)
}

// plain is the value without the types that a trace has around it.
func plain(v *datakit.TraceValue) any {
	fields, ok := v.Value.(map[string]*datakit.TraceValue)
	if !ok {
		return v.Value
	}
	m := make(map[string]any, len(fields))
	for name, f := range fields {
		if f != nil {
			m[name] = plain(f)
		}
	}
	return m
}
