package xmljson

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// orders is an XML document of about the given size, indented, with attributes.
func orders(size int) []byte {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<orders xmlns:o="urn:orders">` + "\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, "  <o:order id=\"%d\">\n    <customer>Customer %d</customer>\n    <total>%d.50</total>\n    <paid>true</paid>\n  </o:order>\n", i, i, i)
	}
	b.WriteString("</orders>")
	return []byte(b.String())
}

func BenchmarkToJSON(b *testing.B) {
	path, err := Compile("//customer")
	require.NoError(b, err)
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		doc := orders(size)
		for name, o := range map[string]Options{"all": {AttributesPrefix: "-"}, "xpath": {AttributesPrefix: "-", Path: path}} {
			b.Run(fmt.Sprintf("%s/%dKB", name, size>>10), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(doc)))
				for b.Loop() {
					if _, err := ToJSON(context.Background(), doc, o); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkToXML(b *testing.B) {
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		v, err := ToJSON(context.Background(), orders(size), prefixed)
		require.NoError(b, err)
		b.Run(fmt.Sprintf("%dKB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ToXML(v, prefixed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
