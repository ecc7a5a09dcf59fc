package schema

import (
	"errors"
	"sort"
	"strings"
)

// Kong's texts. They are an interface: people search for them.
const (
	textRecord           = "expected a record"
	textInteger          = "expected an integer"
	textRequired         = "required field missing"
	textRequiredForCheck = "field required for entity check"
	textUnknown          = "unknown field"
)

// A FieldError is one mistake in a configuration.
type FieldError struct {
	// Field is the path below config: names joined by dots, items of lists by position from 0, as in "routes[0].path".
	Field string
	// Entity is set when Field is a record (or config itself, whose path is empty) and its fields do not go together.
	Entity bool
	// Text is what is wrong, in Kong's words where Kong has some.
	Text string
	// Hint is a remedy that Kong would not give, for instance a similar name. It may be empty.
	Hint string
	// Beside names further fields of the first level that the mistake is one because of. It is not certain where the value
	// of one of them is known only later.
	Beside []string

	inMap string // the outermost map that Field is in, if any
}

// Error returns "field: text".
func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Text
	}
	return e.Field + ": " + e.Text
}

// Parts are the errors that were joined to err, at any depth and in order; err itself when it was made of one.
func Parts(err error) (list []error) {
	joined, ok := err.(interface{ Unwrap() []error })
	switch {
	case err == nil:
	case !ok:
		list = append(list, err)
	default:
		for _, e := range joined.Unwrap() {
			list = append(list, Parts(e)...)
		}
	}
	return list
}

// Errors returns the mistakes that an error of this package holds, sorted by field.
func Errors(err error) []*FieldError {
	var list []*FieldError
	for _, part := range Parts(err) {
		var e *FieldError
		if !errors.As(part, &e) {
			e = &FieldError{Text: part.Error()}
		}
		list = append(list, e)
	}
	sort.SliceStable(list, func(i, j int) bool { return list[i].Field < list[j].Field })
	return list
}

// join is errors.Join for mistakes, sorted by field.
func join(list []*FieldError) error {
	sort.SliceStable(list, func(i, j int) bool { return list[i].Field < list[j].Field })
	errs := make([]error, len(list))
	for i, e := range list {
		errs[i] = e
	}
	return errors.Join(errs...)
}

// quotedList writes names as Kong does: 'a', 'b'.
func quotedList(names []string) string {
	return "'" + strings.Join(names, "', '") + "'"
}

// under is the path of a field below another.
func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
