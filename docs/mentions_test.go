package docs_test

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	flagPattern = regexp.MustCompile(`^-[a-z][a-z-]*$`)                                                                        // read-only
	wordPattern = regexp.MustCompile(`^[a-z][a-z-]*$`)                                                                         // read-only
	testName    = regexp.MustCompile(`^(Test|Benchmark|Fuzz)[A-Z]`)                                                            // read-only
	metricName  = regexp.MustCompile(`^(?:moesif|keyauth|datakit)_(?:server_|supervisor_|worker_)?([a-z_]+[a-z])(?:\{.*\})?$`) // read-only
)

// fileTypes are the extensions that make a word with a slash a path of this repository.
var fileTypes = []string{".go", ".lua", ".json", ".jsonl", ".md", ".yml"} // read-only

// mistakes returns what a page says that is not so. pages are all of them, by name, for links between them.
func (r *repository) mistakes(p page, pages map[string]page) (found []string) {
	bad := func(format string, args ...any) { found = append(found, p.name+": "+fmt.Sprintf(format, args...)) }
	for _, target := range p.links {
		if text := r.brokenLink(p, target, pages); text != "" {
			bad("%s", text)
		}
	}
	for _, line := range slices.Concat(p.commands, p.spans) {
		for _, target := range makeTargets(line) {
			if name, isVariable := strings.CutSuffix(target, "="); isVariable {
				if !strings.Contains(r.makefile, "$("+name+")") {
					bad("make %s: no such variable", target)
				}
			} else if !r.targets[target] {
				bad("make %s: no such target", target)
			}
		}
		for _, use := range flagUses(line, r.flags) {
			if !r.flags[use.binary][use.flag] {
				bad("%s %s: no such flag", use.binary, use.flag)
			}
		}
		for _, word := range strings.Fields(line) {
			if word = strings.Trim(word, `"'(),;`); !r.isThere(word) {
				bad("%s: no such file", word)
			}
		}
	}
	for _, span := range p.spans {
		first, _, _ := strings.Cut(span, " ")
		if flagPattern.MatchString(first) && !r.anyFlag(first) {
			bad("%s: no binary has this flag", first)
		}
		if testName.MatchString(span) && !r.tests[span] {
			bad("%s: no such test", span)
		}
		if m := metricName.FindStringSubmatch(span); m != nil && !r.quotes(m[1]) {
			bad("%s: no such metric", span)
		}
	}
	for _, line := range p.quoted {
		if !r.says(line) {
			bad("log line %q: no source says this", line)
		}
	}
	return found
}

func (r *repository) brokenLink(p page, target string, pages map[string]page) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, part, _ := strings.Cut(target, "#")
	name := p.name
	if file != "" {
		name = path.Join(path.Dir(p.name), file)
		if strings.HasPrefix(name, "../") || !r.exists(name) {
			return "link " + target + ": no such file"
		}
	}
	if to, isPage := pages[name]; part != "" && (!isPage || !to.anchors()[part]) {
		return "link " + target + ": no such heading"
	}
	return ""
}

// isThere reports false for a word that looks like a path of the repository and is none.
func (r *repository) isThere(word string) bool {
	word = word[strings.LastIndexByte(word, '=')+1:]
	word = strings.TrimSuffix(strings.TrimPrefix(word, "./"), "/...")
	first, _, hasSlash := strings.Cut(word, "/")
	switch {
	case strings.HasPrefix(word, "/") || strings.HasPrefix(word, "<kong-prefix>/") || strings.Contains(word, "://") || strings.ContainsAny(word, "$:@"):
		return true // elsewhere
	case !hasSlash:
		return path.Ext(word) != ".go" || r.goFiles[word]
	case r.top[first] || slices.Contains(fileTypes, path.Ext(word)):
		return r.exists(word)
	}
	return true
}

func (r *repository) anyFlag(flag string) bool {
	for _, flags := range r.flags {
		if flags[flag] {
			return true
		}
	}
	return false
}

// makeTargets returns the targets that a command line makes, and the variables it sets, with "=" at their end.
func makeTargets(line string) (targets []string) {
	words := strings.Fields(line)
	for i, word := range words {
		if i > 0 && strings.HasPrefix(word, "#") {
			return nil
		}
		if word != "make" {
			continue
		}
		for _, w := range words[i+1:] {
			name, _, isVariable := strings.Cut(w, "=")
			switch {
			case isVariable:
				targets = append(targets, name+"=")
			case wordPattern.MatchString(w):
				targets = append(targets, w)
			default:
				return targets
			}
		}
		return targets
	}
	return nil
}

type flagUse struct{ binary, flag string }

// flagUses returns the flags that a command line gives to one of our binaries, which may stand in quotes in the
// arguments of another command.
func flagUses(line string, ours map[string]map[string]bool) (uses []flagUse) {
	binary := ""
	for i, word := range strings.Fields(line) {
		if i > 0 && strings.HasPrefix(word, "#") {
			break
		}
		_, inner, opens := strings.Cut(word, `"`)
		if opens {
			binary, word = "", inner
		}
		word, closes := strings.CutSuffix(word, `"`)
		switch name, _, _ := strings.Cut(word, "="); {
		case strings.Trim(word, "|&;") == "":
			binary = ""
		case flagPattern.MatchString(name):
			if binary != "" {
				uses = append(uses, flagUse{binary, name})
			}
		case ours[path.Base(word)] != nil:
			binary = path.Base(word)
		}
		if closes {
			binary = ""
		}
	}
	return uses
}
