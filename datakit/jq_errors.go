package datakit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/itchyny/gojq"
)

// jqError says what went wrong so that it helps.
func jqError(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var halt *gojq.HaltError
	if errors.As(err, &halt) {
		if text, ok := halt.Value().(string); ok {
			return fmt.Errorf("the program has halted: %s", shortened(withoutValues(text)))
		}
		return errors.New("the program has halted")
	}
	text := withoutValues(err.Error())
	if strings.HasPrefix(text, "expected a string for object key but got: null") {
		return errors.New(text + `; // does not catch it: give the key a default first, as in [.id // ""]`)
	}
	return errors.New(text)
}

// withoutValues takes the values out of an error of the library, which shows the beginning of each. They may be secret, and
// errors reach logs.
func withoutValues(text string) string {
	if m := ofFunction.FindStringSubmatch(text); m != nil {
		what := "this value" + knownCause.FindString(text)
		if typ := takenType.FindStringSubmatch(text); typ != nil {
			what = typ[1]
		}
		return m[1] + " cannot be applied to " + what
	}
	if m := ofTypes.FindStringSubmatch(text); m != nil {
		if m[4] == "" {
			return m[1] + m[2]
		}
		return m[1] + m[2] + m[3] + m[4]
	}
	if m := ofValue.FindStringSubmatch(text); m != nil {
		return m[1] + knownPattern.FindString(text)
	}
	return quotedValue.ReplaceAllString(text, "$1")
}

const typeWords = `(null|boolean|number|string|array|object)`

var ( // read-only
	// ofFunction is what is said of a function: its arguments and its input are shown, and a type or a cause stands behind.
	ofFunction = regexp.MustCompile(`(?s)^((?:error: )?@?[A-Za-z_][A-Za-z0-9_]*)(?:\(.*\))? cannot be applied to\b`)
	takenType  = regexp.MustCompile(` cannot be applied to: ` + typeWords + `(?: \(|$)`)
	knownCause = regexp.MustCompile(`: (invalid number|invalid boolean|length mismatch|illegal base64 data at input byte [0-9]+|number of seconds is out of range|` +
		`number is out of range|expected an array of 8 numbers)$`)

	// ofTypes has one value or two, each behind its type, as in cannot add: number (1) and string ("a").
	ofTypes = regexp.MustCompile(`(?s)^((?:error: )?[A-Za-z@"_ ]*?:? ?)\b` + typeWords + `(?: \(.*?\))?(?:( and | by: )` + typeWords + `(?: \(.*\))?)?$`)

	// ofValue has a value at its end.
	ofValue = regexp.MustCompile(`^((?:error: )?(?:array index should not be negative|array index too large|repeat string result too large|` +
		`flatten depth should not be negative|invalid regular expression|unsupported regular expression flag))[: ]`)

	// knownPattern is what Go says of a regular expression, without the part that it quotes.
	knownPattern = regexp.MustCompile(`: error parsing regexp: [a-zA-Z ()]+`)

	// quotedValue is a value behind its type, elsewhere.
	quotedValue = regexp.MustCompile(`\b` + typeWords + ` \((?:"(?:[^"\\]|\\.)*"?|[^()"]|"[^"]*")*\)`)
)
