// Package helm_test checks the values files for the chart kong/kong without the chart: keys that it has, settings that Kong
// has, and what would only show in a cluster. What needs Kubernetes' own types is checked in release/checks.
package helm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"kong-go-plugins/internal/kongconf"
)

// values is what our files set in the chart, in the form of its version 3.4; another key is a mistake.
type values struct {
	Image                    struct{ Repository, Tag string }
	SecretVolumes            []string `yaml:"secretVolumes"`
	Admin                    *struct{ Enabled bool }
	ContainerSecurityContext *struct{ Enabled bool } `yaml:"containerSecurityContext"`
	IngressController        struct {
		Enabled     bool
		InstallCRDs bool `yaml:"installCRDs"`
	} `yaml:"ingressController"`
	DBLessConfig struct {
		ConfigMap string `yaml:"configMap"`
	} `yaml:"dblessConfig"`
	Env     map[string]string
	Plugins struct {
		PreInstalled string `yaml:"preInstalled"`
		ConfigMaps   []struct {
			PluginName string `yaml:"pluginName"`
			Name       string
		} `yaml:"configMaps"`
	}
	Deployment struct {
		InitContainers         []initContainer `yaml:"initContainers"`
		UserDefinedVolumes     []volume        `yaml:"userDefinedVolumes"`
		UserDefinedVolumeMount []mount         `yaml:"userDefinedVolumeMounts"`
	}
}

type initContainer struct {
	Name, Image     string
	Args            []string
	VolumeMounts    []mount        `yaml:"volumeMounts"`
	Resources       map[string]any // checked with Kubernetes' types
	SecurityContext struct {
		RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
		RunAsUser                int   `yaml:"runAsUser"`
		RunAsGroup               int   `yaml:"runAsGroup"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		Capabilities             struct{ Drop []string }
		SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
}

type volume struct {
	Name     string
	EmptyDir map[string]string `yaml:"emptyDir"`
}

type mount struct {
	Name      string
	MountPath string `yaml:"mountPath"`
	ReadOnly  bool   `yaml:"readOnly"`
}

func read(t *testing.T, name string) (v values) {
	t.Helper()
	f, err := os.Open(name)
	require.NoError(t, err)
	defer f.Close()
	d := yaml.NewDecoder(f)
	d.KnownFields(true)
	require.NoError(t, d.Decode(&v), name)
	return v
}

func files(t *testing.T, pattern string, n int) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.Len(t, names, n)
	return names
}

func TestValues(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "values-*.yaml", 4) {
		v := read(t, name)
		servers := strings.Split(v.Env["pluginserver_names"], ",")
		for key, value := range v.Env {
			assert.Empty(t, kongconf.Unknown(key, servers), name)
			assert.NotContains(t, []string{"true", "false"}, value, "%s: %s: Kong says on and off", name, key)
		}
		assert.NotContains(t, v.Env, "plugins", "%s: env.plugins would replace plugins.preInstalled", name)
		assert.NotContains(t, v.Env, "prefix", "%s: the chart's own is /kong_prefix", name)
		assert.Equal(t, "off", v.Env["database"], name)
		assert.Equal(t, v.Env["pluginserver_names"], v.Plugins.PreInstalled, name)
		assert.Equal(t, v.Env["role"] == "data_plane", len(v.SecretVolumes) == 1, "%s: a data plane has a certificate", name)
		for _, volume := range v.SecretVolumes {
			assert.Equal(t, "/etc/secrets/"+volume+"/tls.crt", v.Env["cluster_cert"], name)
			assert.Equal(t, "/etc/secrets/"+volume+"/tls.key", v.Env["cluster_cert_key"], name)
		}
		assert.Equal(t, v.DBLessConfig.ConfigMap == "", v.IngressController.Enabled || v.Env["role"] == "data_plane", "%s: one source of configuration", name)

		require.Len(t, v.Deployment.InitContainers, 1, name)
		assertRestricted(t, name, v.Deployment.InitContainers[0])
		assert.Equal(t, servers, installed(v.Deployment.InitContainers[0].Args), "%s: what is copied is what is started", name)
		require.Len(t, v.Deployment.UserDefinedVolumes, 1, name)
		assert.Equal(t, []mount{{v.Deployment.UserDefinedVolumes[0].Name, "/opt/kong-go", true}}, v.Deployment.UserDefinedVolumeMount, name)
		assert.Equal(t, []mount{{v.Deployment.UserDefinedVolumes[0].Name, "/dest", false}}, v.Deployment.InitContainers[0].VolumeMounts, name)
		for _, s := range servers {
			key := "pluginserver_" + strings.ReplaceAll(s, "-", "_")
			assert.Equal(t, "/opt/kong-go/"+s+" -dump", v.Env[key+"_query_cmd"], name)
			assert.Equal(t, "/opt/kong-go/"+s+" -kong-prefix /kong_prefix", v.Env[key+"_start_cmd"], name)
		}
		if strings.HasPrefix(v.Image.Repository, "kong/kong-gateway") {
			assert.NotContains(t, servers, "datakit", "%s: Enterprise has its own", name)
		}
	}
}

// assertRestricted compares a container with the restricted level of Kubernetes' Pod Security Standards.
func assertRestricted(t *testing.T, where string, c initContainer) {
	t.Helper()
	s := c.SecurityContext
	assert.True(t, s.RunAsNonRoot && s.ReadOnlyRootFilesystem && s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation, where)
	assert.Equal(t, []string{"ALL"}, s.Capabilities.Drop, where)
	assert.Equal(t, "RuntimeDefault", s.SeccompProfile.Type, where)
}

// installed is what the carrier image's program leaves in the folder.
func installed(args []string) []string {
	plugins := []string{"moesif", "keyauth", "datakit"}
	for len(args) > 1 {
		switch args[0] {
		case "-only":
			plugins = strings.Split(args[1], ",")
		case "-name":
			from, to, _ := strings.Cut(args[1], "=")
			for i := range plugins {
				if plugins[i] == from {
					plugins[i] = to
				}
			}
		default:
			return nil
		}
		args = args[2:]
	}
	if len(args) != 1 || args[0] != "/dest" {
		return nil
	}
	return plugins
}

func TestOverlays(t *testing.T) {
	t.Parallel()
	files(t, "overlay-*.yaml", 2)
	openshift := read(t, "overlay-openshift.yaml")
	require.Len(t, openshift.Deployment.InitContainers, 1)
	c := openshift.Deployment.InitContainers[0]
	assertRestricted(t, "overlay-openshift.yaml", c)
	assert.Zero(t, c.SecurityContext.RunAsUser+c.SecurityContext.RunAsGroup, "OpenShift chooses the ids")
	assert.False(t, openshift.ContainerSecurityContext.Enabled)
	assert.Equal(t, read(t, "values-kic.yaml").Deployment.InitContainers[0].Image, c.Image)

	schemas, konnect := read(t, "overlay-schemas.yaml"), read(t, "values-konnect.yaml")
	var names []string
	for _, m := range schemas.Plugins.ConfigMaps {
		names = append(names, m.PluginName)
		assert.Equal(t, "kong-plugin-"+m.PluginName, m.Name)
	}
	assert.Equal(t, konnect.Plugins.PreInstalled, strings.Join(names, ","))

	var k struct {
		APIVersion         string `yaml:"apiVersion"`
		Kind               string
		GeneratorOptions   map[string]bool `yaml:"generatorOptions"`
		ConfigMapGenerator []struct {
			Name  string
			Files []string
		} `yaml:"configMapGenerator"`
	}
	text, err := os.ReadFile("schemas/kustomization.yaml")
	require.NoError(t, err)
	require.NoError(t, yaml.Unmarshal(text, &k))
	require.Len(t, k.ConfigMapGenerator, len(names))
	for i, g := range k.ConfigMapGenerator {
		assert.Equal(t, schemas.Plugins.ConfigMaps[i].Name, g.Name)
		assert.Equal(t, []string{"../../schema/" + names[i] + "/schema.lua"}, g.Files)
		assert.FileExists(t, filepath.Join("schemas", g.Files[0]))
	}
}

// The plugins accept the configurations in the manifests.
func TestManifests(t *testing.T) {
	t.Parallel()
	for _, name := range files(t, "manifests/*.yaml", 3) {
		plugin, _, _ := strings.Cut(filepath.Base(name), "-")
		out, err := exec.CommandContext(t.Context(), "go", "run", "../cmd/"+plugin, "-validate", name).CombinedOutput()
		assert.NoError(t, err, string(out))
	}
}
