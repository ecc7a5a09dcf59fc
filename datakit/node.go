package datakit

import "context"

// values are what flows into and out of a node, by port; the whole value of a node that has no named ports is under
// self. A value is what gojq takes: nil, bool, int, float64, *big.Int, json.Number, string, []any or map[string]any of
// such. It belongs to everybody once it was produced: nobody changes a value, or a part of one.
//
// There are few of them, so that a list takes less time and memory than a map.
type values []portValue

type portValue struct {
	port  string
	value any
}

// self names the port that is a node's whole value.
const self = ""

// get is the value at a port, nil when there is none.
func (all values) get(port string) any {
	v, _ := all.lookup(port)
	return v
}

func (all values) lookup(port string) (any, bool) {
	for i := range all {
		if all[i].port == port {
			return all[i].value, true
		}
	}
	return nil, false
}

// object is all of them as one value.
func (all values) object() map[string]any {
	m := make(map[string]any, len(all))
	for _, p := range all {
		m[p.port] = p.value
	}
	return m
}

// valuesOf is the opposite of object.
func valuesOf(m map[string]any) values {
	all := make(values, 0, len(m))
	for _, port := range sortedKeys(m) {
		all = append(all, portValue{port, m[port]})
	}
	return all
}

// A node does the work of one node of a workflow. Requests share nodes, so run touches no state of the node. It does not
// call the gateway: nodes that need it are hostNodes.
//
// An output that run leaves out is null. What it returns beside an error is shown in traces and flows nowhere.
type node interface {
	run(ctx context.Context, in values) (values, error)
}

// A hostNode works with the gateway. It runs on the goroutine of the gateway's handler, never beside another one.
type hostNode interface {
	node
	runOn(ctx context.Context, host Host, in values) (values, error)
}

// A kind describes a node type: its ports, how to build one. A new type is a file with one kind, and its line in kinds.
type kind struct {
	since   string // the version of Kong's Datakit that has it
	doc     string // what it does, for the reference
	options []option

	in  []port // a node with the one port self takes a whole value only
	out []port // none: nothing can be connected to its output

	masks map[string]bool // ports whose values no trace shows

	freeInputs bool // takes a whole value, or any names of the user's as inputs
	async      bool // waits for others: runs beside other nodes
	ends       bool // answers the client and ends the plan

	// declare returns the outputs of a node whose configuration decides them. It is called before links are known. What
	// they are is said in decides, for the reference.
	declare func(c *NodeConfig) []port
	decides string

	// build checks the options and makes the node. Links are known, so c.connected can be asked. All that is wrong is
	// told to c.fail or returned; what is returned begins with the field.
	build func(c *NodeConfig, b *builder) (node, error)
}

// A port is an input or output of a node.
type port struct {
	name     string // self for the whole value
	typ      typ
	required bool // an input that must be connected
	since    string
	doc      string

	check func(any) error // of a literal beyond its type; nil is none
}

// kinds are the node types by name; read-only.
var kinds = map[string]*kind{
	"branch":      &branchKind,
	"cache":       &cacheKind,
	"call":        &callKind,
	"exit":        &exitKind,
	"jq":          &jqKind,
	"json_to_xml": &jsonToXMLKind,
	"jwt_decode":  &jwtDecodeKind,
	"jwt_sign":    &jwtSignKind,
	"jwt_verify":  &jwtVerifyKind,
	"property":    &propertyKind,
	"static":      &staticKind,
	"xml_to_json": &xmlToJSONKind,
}
