package checks_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/hashicorp/hcl/v2/hclwrite"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
	ctyjson "github.com/zclconf/go-cty/cty/json"
	"sigs.k8s.io/yaml"
)

// A resource is a block of a Terraform file with its attributes.
type resource struct {
	kind, label string
	body        *hclsyntax.Body
}

// readTerraform parses a file as Terraform does; it must be formatted as `terraform fmt` leaves it.
func readTerraform(t *testing.T, name string) (resources []resource) {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	parsed, problems := hclsyntax.ParseConfig(text, name, hcl.InitialPos)
	require.False(t, problems.HasErrors(), problems.Error())
	assert.Equal(t, string(hclwrite.Format(text)), string(text), name)
	for _, b := range parsed.Body.(*hclsyntax.Body).Blocks {
		require.Contains(t, []string{"terraform", "variable", "provider", "resource"}, b.Type, name)
		if b.Type == "resource" {
			resources = append(resources, resource{b.Labels[0], b.Labels[1], b.Body})
		}
	}
	return resources
}

// scope is what expressions of a file in the folder refer to.
func scope(dir string, variables map[string]cty.Value) *hcl.EvalContext {
	return &hcl.EvalContext{
		Variables: map[string]cty.Value{
			"path": cty.ObjectVal(map[string]cty.Value{"module": cty.StringVal(dir)}),
			"var":  cty.ObjectVal(variables),
		},
		Functions: map[string]function.Function{
			"replace": stdlib.ReplaceFunc,
			"file": function.New(&function.Spec{
				Params: []function.Parameter{{Name: "path", Type: cty.String}},
				Type:   function.StaticReturnType(cty.String),
				Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
					text, err := os.ReadFile(args[0].AsString())
					return cty.StringVal(string(text)), err
				},
			}),
		},
	}
}

// Terraform's files hold the very configurations of the kong.yml beside them, and the schemas that the APIs are sent.
func TestTerraform(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../examples/configure/*/main.tf")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range append(names, "../../konnect/main.tf") {
		dir := filepath.Dir(name)
		context := scope(dir, map[string]cty.Value{"control_plane_id": cty.StringVal("plane")})
		var configs []string
		for _, r := range readTerraform(t, name) {
			switch r.kind {
			case "konnect_gateway_custom_plugin_schema":
				v, problems := r.body.Attributes["lua_schema"].Expr.Value(context)
				require.False(t, problems.HasErrors(), problems.Error())
				as := r.label
				if as == "datakit" {
					as = "datakit-go"
				}
				assert.Contains(t, v.AsString(), `name="`+as+`"`, name)
			case "konnect_gateway_custom_plugin":
				v, problems := r.body.Attributes["config"].Expr.Value(context)
				require.False(t, problems.HasErrors(), problems.Error())
				text, err := ctyjson.Marshal(v, v.Type())
				require.NoError(t, err)
				configs = append(configs, string(text))
				assertReferences(t, r.body.Attributes["name"].Expr, "konnect_gateway_custom_plugin_schema."+strings.TrimSuffix(r.label, "_2")+".name")
			default:
				assert.Fail(t, "another resource", "%s: %s", name, r.kind)
			}
		}
		require.NotEmpty(t, configs, name)
		text, err := os.ReadFile(filepath.Join(dir, "kong.yml"))
		if err != nil { // konnect/main.tf stands alone
			continue
		}
		var source struct {
			Plugins []struct {
				Config json.RawMessage `json:"config"`
			} `json:"plugins"`
		}
		require.NoError(t, yaml.Unmarshal(text, &source))
		require.Len(t, configs, len(source.Plugins), name)
		for i, c := range configs {
			assert.JSONEq(t, string(source.Plugins[i].Config), c, name)
		}
	}
}

// assertReferences compares an expression with a path of names.
func assertReferences(t *testing.T, e hclsyntax.Expression, want string) {
	t.Helper()
	traversal, problems := hcl.AbsTraversalForExpr(e)
	require.False(t, problems.HasErrors(), problems.Error())
	names := []string{traversal.RootName()}
	for _, step := range traversal[1:] {
		names = append(names, step.(hcl.TraverseAttr).Name)
	}
	assert.Equal(t, want, strings.Join(names, "."))
}
