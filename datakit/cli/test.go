package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"flag"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

var testCommand = command{
	name:  "test",
	usage: "test [flags] DIR...",
	about: "Runs the cases below folders, for CI. A case is a folder with kong.yml, request.http, expected.yml and, where there are,\n" +
		"stubs.yml, upstream.http, vault.yml, properties.yml and now; or a .txtar file with these files in it; or one of the cases\n" +
		"in a .test.yml file. request2.http and expected2.yml are a second request, which meets the cache of the first one.\n" +
		"Exit status: 0, 1 when a case fails, 2 for a wrong command line, a case that cannot be read, or no case at all.",
	run: test,
}

// A verdict is how a case went.
type verdict struct {
	Name     string   `json:"name"`
	Passed   bool     `json:"passed"`
	Updated  bool     `json:"updated,omitempty"`
	Problems []string `json:"problems,omitempty"`
}

func test(o *out, f *flag.FlagSet, args []string) (int, error) {
	format := f.String("o", "text", "`format` of the output: text, json or junit")
	update := f.Bool("update", false, "write what happens into what is expected; the members that it has already, or else all")
	only := f.String("run", "", "only the cases whose name matches the regular `expression`")
	plugin := f.String("plugin", "datakit", "the `name` that Kong has for the plugin")
	dirs, err := parse(f, args)
	if err != nil {
		return exitUsage, err
	}
	pattern, err := regexp.Compile(*only)
	switch {
	case err != nil:
		return wrongUsage("-run: %v", err)
	case len(dirs) == 0:
		return wrongUsage("expected a folder")
	case *format != "text" && *format != "json" && *format != "junit":
		return wrongUsage("-o %q: expected text, json or junit", *format)
	}
	var verdicts []verdict
	found, failed := 0, 0
	for _, dir := range dirs {
		cases, err := findCases(dir)
		if err != nil {
			return exitUsage, err
		}
		found += len(cases)
		for _, c := range cases {
			if !pattern.MatchString(c.name) {
				continue
			}
			v := c.run(*plugin, *update)
			verdicts = append(verdicts, v)
			if !v.Passed {
				failed++
			}
		}
	}
	if len(verdicts) == 0 {
		if found > 0 {
			return exitUsage, fmt.Errorf("-run %q: it matches no name of %s", *only, counted(found, "case"))
		}
		return exitUsage, fmt.Errorf("no case in %s", strings.Join(dirs, ", "))
	}
	if err := report(o, *format, verdicts, failed); err != nil {
		return exitUsage, err
	}
	if failed > 0 {
		return exitBad, nil
	}
	return exitGood, nil
}

// run carries out a case. With update it writes what happens into what is expected.
func (c *testCase) run(plugin string, update bool) verdict {
	v := verdict{Name: c.name}
	fail := func(err error) verdict {
		v.Problems = append(v.Problems, strings.Split(err.Error(), "\n")...)
		return v
	}
	sources, err := readSources(c.file, plugin, c.config)
	if err != nil {
		return fail(err)
	}
	s, err := pick(sources, 0)
	if err != nil {
		return fail(err)
	}
	props, err := c.script.props()
	if err != nil {
		return fail(err)
	}
	r, err := rehearse(s, props)
	if err != nil {
		return fail(err)
	}
	defer r.close()
	for i, step := range c.steps {
		q, upstream, err := step.scene.parse()
		if err != nil {
			return fail(err)
		}
		done := r.step(context.Background(), q, upstream)
		var want *expected
		if step.expected != "" {
			if want, err = parseExpected(step.expected); err != nil {
				return fail(fmt.Errorf("%s: %w", expectedName(i), err))
			}
		}
		switch {
		case update && done.missing != "":
			return fail(fmt.Errorf("%s", strings.TrimSpace(done.missing)))
		case update && (want == nil || len(want.differences(done)) > 0):
			n, err := r.expectedNode(want.renewed(done))
			if err != nil {
				return fail(err)
			}
			var b bytes.Buffer
			e := yaml.NewEncoder(&b)
			e.SetIndent(2)
			if err := e.Encode(n); err != nil {
				return fail(err)
			}
			if err := c.save(i, b.Bytes()); err != nil {
				return fail(err)
			}
			v.Updated = true
		case want == nil:
			return fail(fmt.Errorf("there is no %s; -update writes one", expectedName(i)))
		case !update:
			for _, text := range r.concealed(want).differences(r.concealedOutcome(done)) {
				if len(c.steps) > 1 {
					text = fmt.Sprintf("request %d: %s", i+1, text)
				}
				v.Problems = append(v.Problems, strings.Split(text, "\n")...)
			}
		}
	}
	v.Passed = len(v.Problems) == 0
	return v
}

// concealed is what is expected, with the values of vaults hidden: that is how they stand in files that -update wrote, and
// how differences are shown.
func (r *rehearsal) concealed(e *expected) *expected {
	if len(r.secrets) == 0 {
		return e
	}
	n, err := r.expectedNode(e)
	if err != nil {
		return e
	}
	var hidden expected
	if n.Decode(&hidden) != nil {
		return e
	}
	return &hidden
}

// expectedNode is what is expected as YAML, with the values of vaults hidden.
func (r *rehearsal) expectedNode(e *expected) (*yaml.Node, error) {
	var n yaml.Node
	if err := n.Encode(e); err != nil {
		return nil, err
	}
	var hide func(n *yaml.Node)
	hide = func(n *yaml.Node) {
		if hidden := r.hidden(n.Value); hidden != n.Value {
			n.SetString(hidden)
		}
		for _, c := range n.Content {
			hide(c)
		}
	}
	hide(&n)
	return &n, nil
}

// concealedOutcome is an outcome with the values of vaults hidden.
func (r *rehearsal) concealedOutcome(o *outcome) *outcome {
	if len(r.secrets) == 0 {
		return o
	}
	hide := func(h map[string][]string) map[string][]string {
		made := map[string][]string{}
		for name, values := range h {
			for _, v := range values {
				made[name] = append(made[name], r.hidden(v))
			}
		}
		return made
	}
	c := *o
	c.failure = r.hidden(o.failure)
	c.calls = nil
	for _, one := range o.calls {
		one.url, one.plain, one.body, one.header = r.hidden(one.url), r.hidden(one.plain), r.hidden(one.body), hide(one.header)
		c.calls = append(c.calls, one)
	}
	if u := o.upstream; u != nil {
		c.upstream = &sentRequest{u.method, u.scheme, r.hidden(u.target), r.hidden(u.host), hide(u.header), r.hidden(u.body)}
	}
	c.answer = &response{o.answer.status, hide(o.answer.header), r.hidden(o.answer.body)}
	return &c
}

func report(o *out, format string, verdicts []verdict, failed int) error {
	switch format {
	case "json":
		e := json.NewEncoder(o.stdout)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		return e.Encode(verdicts)
	case "junit":
		return junit(o, verdicts, failed)
	}
	for _, v := range verdicts {
		word := "ok  "
		if !v.Passed {
			word = "FAIL"
		} else if v.Updated {
			word = "new "
		}
		o.printf("%s  %s\n", word, v.Name)
		for _, p := range v.Problems {
			o.printf("      %s\n", p)
		}
	}
	o.printf("%s, %d failed\n", counted(len(verdicts), "case"), failed)
	return nil
}

// junit writes verdicts as CI servers read them.
func junit(o *out, verdicts []verdict, failed int) error {
	type failure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Failure *failure `xml:"failure,omitempty"`
	}
	type suite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	s := suite{Name: "datakit", Tests: len(verdicts), Failures: failed}
	for _, v := range verdicts {
		c := testcase{Name: v.Name, Class: "datakit"}
		if !v.Passed {
			c.Failure = &failure{v.Problems[0], strings.Join(v.Problems, "\n")}
		}
		s.Cases = append(s.Cases, c)
	}
	o.printf("%s", xml.Header)
	e := xml.NewEncoder(o.stdout)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	o.printf("\n")
	return nil
}
