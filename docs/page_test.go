// Package docs_test holds the documentation to the truth: what a page names exists, what it quotes is said, what it
// shows comes out.
package docs_test

import (
	"regexp"
	"strings"
)

// A page is a Markdown file in parts.
type page struct {
	name     string // path from the repository's root
	headings []string
	links    []string // targets
	spans    []string // inline code
	commands []string // lines of sh blocks
	outputs  []output
	quoted   []string // log lines: code in the first column of the tables of troubleshooting sections
}

// An output is a block that shows what a command prints: <!-- output: COMMAND --> stands before it.
type output struct {
	command string
	lines   []string
}

var (
	linkPattern   = regexp.MustCompile(`\]\(([^)\s]+)\)`)         // read-only
	spanPattern   = regexp.MustCompile("`([^`]+)`")               // read-only
	outputPattern = regexp.MustCompile(`^<!-- output: (.+) -->$`) // read-only
)

// parsePage reads as much of Markdown as the pages here use.
func parsePage(name, text string) page {
	p := page{name: name}
	fence, language, shown := false, "", ""
	troubleshooting := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if mark, ok := strings.CutPrefix(line, "```"); ok {
			fence = !fence
			language = mark
			if fence && shown != "" {
				p.outputs = append(p.outputs, output{command: shown})
			} else {
				shown = ""
			}
			continue
		}
		if fence {
			switch {
			case shown != "":
				o := &p.outputs[len(p.outputs)-1]
				o.lines = append(o.lines, line)
			case language == "sh":
				p.commands = append(p.commands, line)
			}
			continue
		}
		if m := outputPattern.FindStringSubmatch(line); m != nil {
			shown = m[1]
			continue
		}
		if strings.HasPrefix(line, "#") {
			heading := strings.TrimSpace(strings.TrimLeft(line, "#"))
			p.headings = append(p.headings, heading)
			troubleshooting = heading == "Troubleshooting"
			continue
		}
		for _, m := range linkPattern.FindAllStringSubmatch(line, -1) {
			p.links = append(p.links, m[1])
		}
		for _, m := range spanPattern.FindAllStringSubmatch(line, -1) {
			p.spans = append(p.spans, m[1])
		}
		if cell, ok := strings.CutPrefix(line, "|"); ok && troubleshooting {
			cell, _, _ = strings.Cut(cell, "|")
			for _, m := range spanPattern.FindAllStringSubmatch(cell, -1) {
				p.quoted = append(p.quoted, m[1])
			}
		}
	}
	return p
}

// anchors are what a link to a part of the page may say behind #.
func (p page) anchors() map[string]bool {
	all := map[string]bool{}
	for _, h := range p.headings {
		all[anchor(h)] = true
	}
	return all
}

// anchor is the name that GitHub gives a heading.
func anchor(heading string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(heading) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r == '-' || r == '_' || 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
			b.WriteRune(r)
		}
	}
	return b.String()
}
