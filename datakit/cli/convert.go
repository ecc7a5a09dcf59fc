package cli

import (
	"flag"
	"fmt"

	"kong-go-plugins/datakit/convert"
)

var convertCommand = command{ // read-only
	name:  "convert",
	usage: "convert FILE",
	about: `Rewrites workflows of the old datakit filter (Kong 3.10 and before) in FILE for the plugin, and prints the whole file.
What is left to do by hand, and what works in another way now, goes to standard error. The exit status is 1 when something
is left to do.`,
	run: func(o *out, f *flag.FlagSet, args []string) (int, error) {
		file, err := oneFile(f, args)
		if err != nil {
			return exitUsage, err
		}
		text, err := readFile(file)
		if err != nil {
			return exitUsage, err
		}
		converted, notes, err := convert.Document(text)
		if err != nil {
			return exitUsage, fmt.Errorf("%s: %w", file, err)
		}
		return writeConverted(o, file, converted, notes)
	},
}

func writeConverted(o *out, file string, converted []byte, notes []convert.Note) (int, error) {
	status := exitGood
	for _, n := range notes {
		fmt.Fprintf(o.stderr, "%s:%s\n", file, n)
		if n.Open {
			status = exitBad
		}
	}
	if _, err := o.stdout.Write(converted); err != nil {
		return exitUsage, err
	}
	return status, nil
}
