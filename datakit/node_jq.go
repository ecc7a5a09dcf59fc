package datakit

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

// jqKind runs a jq program over its inputs.
var jqKind = kind{
	since:      "3.11",
	doc:        "Runs a jq program. Inputs are members of `.`, and variables (`$name`) as well; one result is taken, and a program may run for a second.",
	options:    []option{{name: "jq", typ: stringType, min: 1, max: maxJQ, required: true, since: "3.11", doc: "The program. Its strings stand in double quotes."}},
	freeInputs: true,
	out:        []port{{name: self, typ: anyType, since: "3.11", doc: "The first result, null where there is none."}},
	build:      buildJQ,
}

// A jqNode is a compiled program, which requests share.
type jqNode struct {
	code      *gojq.Code
	variables []string // inputs that the program can also call by $name
	maxBytes  int      // of a result
	slots     chan struct{}
}

func buildJQ(c *NodeConfig, b *builder) (node, error) {
	text, ok := c.text("jq")
	if !ok {
		if c.members["jq"] == nil {
			c.fail("jq", "required: a program of jq")
		}
		return nil, nil
	}
	query, err := gojq.Parse(text)
	if err != nil {
		if outsideStrings(text, '\'') {
			return nil, errors.New(`jq: strings of jq stand in double quotes: write "text" for 'text'; single quotes are a shell's`)
		}
		return nil, fmt.Errorf("jq: does not compile: %w", parseError(text, err))
	}
	n := jqNode{maxBytes: b.maxBody, slots: b.engine.jqSlots}
	for _, name := range sortedKeys(c.linked) {
		if isVariable(name) {
			n.variables = append(n.variables, name)
		}
	}
	names := make([]string, len(n.variables))
	for i, name := range n.variables {
		names[i] = "$" + name
	}
	if clock := b.engine.keys.Now; clock != nil {
		query.FuncDefs = append([]*gojq.FuncDef{fixedNow(clock())}, query.FuncDefs...)
	}
	limit(query)
	options := append(jqFunctions(), gojq.WithVariables(names))
	if n.code, err = gojq.Compile(query, options...); err != nil {
		return nil, fmt.Errorf("jq: does not compile: %w", err)
	}
	b.programs = append(b.programs, query)
	return n, nil
}

// parseError adds the place to an error of the parser.
func parseError(text string, err error) error {
	var parse *gojq.ParseError
	if !errors.As(err, &parse) {
		return err
	}
	before := text[:max(0, min(parse.Offset-len(parse.Token), len(text)))]
	line := strings.Count(before, "\n") + 1
	return fmt.Errorf("line %d, character %d: %w", line, len(before)-strings.LastIndexByte(before, '\n'), err)
}

// outsideStrings reports whether c stands in a program outside of strings and comments.
func outsideStrings(text string, c byte) bool {
	inString, inComment := false, false
	for i := 0; i < len(text); i++ {
		switch at := text[i]; {
		case inComment:
			inComment = at != '\n'
		case inString:
			if at == '\\' {
				i++
			} else if at == '"' {
				inString = false
			}
		case at == c:
			return true
		case at == '"':
			inString = true
		case at == '#':
			inComment = true
		}
	}
	return false
}

// isVariable reports whether a name can stand behind a $.
func isVariable(name string) bool {
	return name != self && isNodeName(name) && !strings.Contains(name, "-") && name != "ENV" && name != "__loc__" && name != "__prog_args"
}

func (n jqNode) run(ctx context.Context, in values) (values, error) {
	var input any
	whole := false
	if input, whole = in.lookup(self); !whole && len(in) > 0 {
		input = in.object()
	}
	arguments := make([]any, len(n.variables))
	for i, name := range n.variables {
		arguments[i] = in.get(name)
	}
	select {
	case n.slots <- struct{}{}:
		defer func() { <-n.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	limited := &jqRun{Context: ctx, until: time.Now().Add(jqTime)}
	v, ok := n.code.RunWithContext(limited, input, arguments...).Next()
	if !ok {
		return values{{self, nil}}, nil
	}
	if err, failed := v.(error); failed {
		return nil, jqError(limited, err)
	}
	if err := checkResult(v, n.maxBytes); err != nil {
		return nil, err
	}
	return values{{self, v}}, nil
}

var contentTypes = slices.Sorted(slices.Values([]string{"application/json", "application/octet-stream", "text/plain"})) // read-only
