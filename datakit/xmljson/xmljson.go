// Package xmljson turns XML into JSON values and back.
//
// An element becomes a key of its parent's object, elements of one name side by side become an array, an empty element
// becomes {}. Attributes go to keys with a prefix or into an object of their own, text that stands beside attributes or
// elements goes to a text key. The order of elements of different names is lost; names keep their namespace prefix.
// What XML gives, turned into XML again and back, is the same value, as long as Options' names cannot be names of
// elements.
//
// Values are nil, bool, json.Number, string, []any and map[string]any. ToXML takes int, float64 and *big.Int as well.
//
// Both directions take time in proportion to the input and refuse what is larger or deeper than Limits say. Document
// type definitions and entities beyond the five of XML are refused, so no input grows while it is read. Errors say where
// the input is wrong; they name keys, and never show a text.
package xmljson

// Options say how attributes and text are named. The zero value drops attributes.
type Options struct {
	AttributesBlock  string // key of the object that holds an element's attributes; goes before AttributesPrefix
	AttributesPrefix string // begins the keys of attributes
	TextBlock        string // key of text beside attributes or elements; empty is #text

	// ToJSON only.
	KeepText       bool // every text stays a string: no numbers, booleans and null
	TextAsProperty bool // text is always under TextBlock, alone or not
	Path           *Path

	// ToXML only: the name of the document's element, around the value unless it is an object of this one key. Empty
	// takes an object's only key, and "root" where there is none to take.
	Root string

	Limits Limits
}

// Limits bound what is read and written. A zero takes the value of its comment.
type Limits struct {
	Bytes int // of XML, read or written; 8 MiB
	Depth int // elements inside each other; 512
	Nodes int // elements, attributes and texts together; 300000
	Steps int // of a search by Path; 20 million. Some, such as //a[.//b], take the square of the document's size.
}

// defaultText is the key of text where Options name none.
const defaultText = "#text"

func (o Options) withDefaults() Options {
	if o.TextBlock == "" {
		o.TextBlock = defaultText
	}
	for _, l := range []struct {
		value *int
		def   int
	}{{&o.Limits.Bytes, 8 << 20}, {&o.Limits.Depth, 512}, {&o.Limits.Nodes, 300_000}, {&o.Limits.Steps, 20_000_000}} {
		if *l.value <= 0 {
			*l.value = l.def
		}
	}
	return o
}
