package docs_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A repository is what pages are compared with.
type repository struct {
	root     string
	makefile string
	targets  map[string]bool
	top      map[string]bool            // files and folders of the root, those left out that are made and not committed
	goFiles  map[string]bool            // base names
	tests    map[string]bool            // names of test functions
	tested   []string                   // sources of tests, those of the pages left out
	flags    map[string]map[string]bool // binary -> its flags
	literals []string                   // text constants of the sources, tests left out
	pieces   []string                   // the same, cut where a value is put in
}

var (
	targetPattern = regexp.MustCompile(`(?m)^([a-z][a-z-]*):`)                     // read-only
	testPattern   = regexp.MustCompile(`(?m)^func ((?:Test|Benchmark|Fuzz)\w+)\(`) // read-only
	verbPattern   = regexp.MustCompile(`%[-+# 0-9.\[\]]*[a-zA-Z]`)                 // read-only
)

// openRepository reads everything but the flags.
func openRepository(root string) (*repository, error) {
	r := &repository{root: root, targets: map[string]bool{}, top: map[string]bool{}, goFiles: map[string]bool{}, tests: map[string]bool{}}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return nil, err
	}
	r.makefile = string(makefile)
	for _, m := range targetPattern.FindAllStringSubmatch(r.makefile, -1) {
		r.targets[m[1]] = true
	}
	if err := r.listTop(); err != nil {
		return nil, err
	}
	return r, filepath.WalkDir(root, r.visit)
}

func (r *repository) listTop() error {
	ignored, err := os.ReadFile(filepath.Join(r.root, ".gitignore"))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(r.root)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.Contains(string(ignored), "/"+e.Name()+"/\n") {
			r.top[e.Name()] = true
		}
	}
	return nil
}

func (r *repository) visit(path string, d fs.DirEntry, err error) error {
	switch {
	case err != nil:
		return err
	case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata"):
		return fs.SkipDir
	case d.IsDir() || filepath.Ext(path) != ".go":
		return nil
	}
	r.goFiles[d.Name()] = true
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.HasSuffix(path, "_test.go") {
		for _, m := range testPattern.FindAllStringSubmatch(string(text), -1) {
			r.tests[m[1]] = true
		}
		if !strings.Contains(path, "/docs/") {
			r.tested = append(r.tested, string(text))
		}
		return nil
	}
	return r.readLiterals(path, text)
}

func (r *repository) readLiterals(path string, text []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return true
		}
		if s, err := strconv.Unquote(lit.Value); err == nil {
			r.addLiteral(s)
		}
		return true
	})
	return nil
}

func (r *repository) addLiteral(s string) {
	r.literals = append(r.literals, s)
	for _, piece := range verbPattern.Split(s, -1) {
		if piece = strings.Trim(piece, " :;,"); len(piece) >= shortest {
			r.pieces = append(r.pieces, piece)
		}
	}
}

// quotes reports whether a text constant is this, or has it as its end, behind an underscore.
func (r *repository) quotes(text string) bool {
	return slices.ContainsFunc(r.literals, func(s string) bool { return s == text || strings.HasSuffix(s, "_"+text) })
}

// exists reports whether a path from the root names something. <name> in it stands for anything.
func (r *repository) exists(path string) bool {
	found, err := filepath.Glob(filepath.Join(r.root, placeholder.ReplaceAllString(path, "*")))
	return err == nil && len(found) > 0
}

var placeholder = regexp.MustCompile(`<[^>]*>`) // read-only

const (
	shortest = 4  // bytes of a text that tells anything
	telling  = 10 // bytes of one by which a line can be recognized
)

// variable matches what varies in a quoted log line, and what stands around it.
var variable = regexp.MustCompile(`\.\.\.|\b[A-Z]+\b|[0-9]+|[:;"]`) // read-only

// says reports whether the sources hold the text of a quoted log line: each of its fixed parts is in a literal, or put
// together from several.
func (r *repository) says(line string) bool {
	recognizable := false
	for _, part := range variable.Split(line, -1) {
		part = strings.TrimSpace(part)
		if len(part) < shortest {
			continue
		}
		if !r.holds(part) {
			return false
		}
		recognizable = recognizable || len(part) >= telling
	}
	return recognizable
}

// awaits reports whether a test of the code expects a quoted log line: one of its fixed parts, which can be recognized.
func (r *repository) awaits(line string) bool {
	for _, part := range variable.Split(line, -1) {
		part = strings.TrimSpace(part)
		if len(part) > telling && slices.ContainsFunc(r.tested, func(test string) bool { return strings.Contains(test, part) }) {
			return true
		}
	}
	return false
}

func (r *repository) holds(part string) bool {
	for _, s := range r.literals {
		if strings.Contains(s, part) {
			return true
		}
	}
	for _, piece := range r.pieces {
		if rest, ok := strings.CutPrefix(part, piece); ok && r.holds(strings.TrimSpace(rest)) {
			return true
		}
	}
	return false
}
