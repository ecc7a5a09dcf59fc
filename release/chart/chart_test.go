// Package chart_test renders the chart kong/kong with the values files of helm/, as `helm template` does, and looks at what
// would reach the cluster. KONG_CHART is the folder of a copy of the chart: make check-chart KONG_CHART=charts/kong. Helm is
// large, so that this is a module of its own, which is built for this only.
package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	dir := os.Getenv("KONG_CHART")
	require.NotEmpty(t, dir, "KONG_CHART: expected the folder of a copy of the chart kong/kong, as helm pull --untar leaves it")
	c, err := loader.Load(dir)
	require.NoError(t, err)
	require.Equal(t, "kong", c.Metadata.Name)
	return c
}

// render returns Kong's deployment; all else in the output must be YAML with a kind.
func render(t *testing.T, files ...string) appsv1.Deployment {
	t.Helper()
	c := loadChart(t)
	values := chartutil.Values{}
	for _, name := range files {
		v, err := chartutil.ReadValuesFile(filepath.Join("../../helm", name))
		require.NoError(t, err)
		values = chartutil.CoalesceTables(v, values) // the later file wins
	}
	require.NoError(t, chartutil.ProcessDependencies(c, values))
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{Name: "my-kong", Namespace: "kong", IsInstall: true}, chartutil.DefaultCapabilities)
	require.NoError(t, err)
	rendered, err := engine.Render(c, all)
	require.NoError(t, err, files)
	var found []appsv1.Deployment
	for path, text := range rendered {
		if strings.HasSuffix(path, "NOTES.txt") {
			continue
		}
		for _, manifest := range releaseutil.SplitManifests(text) {
			var head struct{ Kind string }
			require.NoError(t, yaml.Unmarshal([]byte(manifest), &head), path)
			if head.Kind != "Deployment" {
				continue
			}
			var d appsv1.Deployment
			require.NoError(t, yaml.UnmarshalStrict([]byte(manifest), &d), "%v: %s", files, path)
			found = append(found, d)
		}
	}
	require.Len(t, found, 1, files)
	return found[0]
}

func container(t *testing.T, all []corev1.Container, name string) corev1.Container {
	t.Helper()
	for _, c := range all {
		if c.Name == name {
			return c
		}
	}
	require.Fail(t, "no such container", name)
	return corev1.Container{}
}

func environment(t *testing.T, c corev1.Container) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, e := range c.Env {
		assert.NotContains(t, env, e.Name, "set twice")
		env[e.Name] = e.Value
	}
	return env
}

func mounts(c corev1.Container) map[string]corev1.VolumeMount {
	by := map[string]corev1.VolumeMount{}
	for _, m := range c.VolumeMounts {
		by[m.MountPath] = m
	}
	return by
}

// What each values file asks for is in the pod.
func TestValues(t *testing.T) {
	for _, c := range []struct {
		files   []string
		plugins string
		check   func(t *testing.T, pod corev1.PodSpec, env map[string]string)
	}{
		{[]string{"values-dbless.yaml"}, "moesif,keyauth,datakit", func(t *testing.T, pod corev1.PodSpec, env map[string]string) {
			assert.Contains(t, mounts(container(t, pod.Containers, "proxy")), "/kong_dbless/")
			assert.Equal(t, "/kong_dbless/kong.yml", env["KONG_DECLARATIVE_CONFIG"])
			assert.Len(t, pod.Containers, 1)
		}},
		{[]string{"values-kic.yaml"}, "moesif,keyauth,datakit", func(t *testing.T, pod corev1.PodSpec, _ map[string]string) {
			controller := container(t, pod.Containers, "ingress-controller")
			assert.NotContains(t, mounts(controller), "/opt/kong-go", "the controller needs nothing")
		}},
		{[]string{"values-konnect.yaml"}, "moesif,keyauth", func(t *testing.T, pod corev1.PodSpec, env map[string]string) {
			assert.Equal(t, "data_plane", env["KONG_ROLE"])
			assert.Equal(t, "on", env["KONG_KONNECT_MODE"])
			assert.Contains(t, mounts(container(t, pod.Containers, "proxy")), filepath.Dir(env["KONG_CLUSTER_CERT"]))
		}},
		{[]string{"values-enterprise.yaml"}, "moesif,keyauth,datakit-go", nil},
		{[]string{"values-konnect.yaml", "overlay-schemas.yaml"}, "moesif,keyauth", func(t *testing.T, pod corev1.PodSpec, env map[string]string) {
			assert.True(t, strings.HasPrefix(env["KONG_LUA_PACKAGE_PATH"], "/opt/?.lua;"), "Kong finds kong.plugins.moesif.schema in /opt")
			for _, plugin := range []string{"moesif", "keyauth"} {
				m := mounts(container(t, pod.Containers, "proxy"))["/opt/kong/plugins/"+plugin]
				volume := volumeOf(t, pod, m.Name)
				require.NotNil(t, volume.ConfigMap, plugin)
				assert.Equal(t, "kong-plugin-"+plugin, volume.ConfigMap.Name)
			}
		}},
		{[]string{"values-konnect.yaml", "overlay-openshift.yaml"}, "moesif,keyauth", func(t *testing.T, pod corev1.PodSpec, _ map[string]string) {
			for _, c := range append(pod.InitContainers, pod.Containers...) {
				if s := c.SecurityContext; s != nil {
					assert.Nil(t, s.RunAsUser, "OpenShift chooses the ids: %s", c.Name)
					assert.Nil(t, s.RunAsGroup, c.Name)
				}
			}
			if s := pod.SecurityContext; s != nil {
				assert.Nil(t, s.RunAsUser)
				assert.Nil(t, s.FSGroup)
			}
		}},
	} {
		t.Run(strings.Join(c.files, "+"), func(t *testing.T) {
			pod := render(t, c.files...).Spec.Template.Spec
			proxy := container(t, pod.Containers, "proxy")
			env := environment(t, proxy)
			assert.Equal(t, "bundled,"+c.plugins, env["KONG_PLUGINS"])
			assert.Equal(t, c.plugins, env["KONG_PLUGINSERVER_NAMES"])
			assert.Equal(t, "/kong_prefix", strings.TrimSuffix(env["KONG_PREFIX"], "/"), "the prefix of the start commands")
			for _, plugin := range strings.Split(c.plugins, ",") {
				infix := "KONG_PLUGINSERVER_" + strings.ToUpper(strings.ReplaceAll(plugin, "-", "_"))
				assert.Equal(t, "/opt/kong-go/"+plugin+" -dump", env[infix+"_QUERY_CMD"])
				assert.Equal(t, "/opt/kong-go/"+plugin+" -kong-prefix /kong_prefix", env[infix+"_START_CMD"])
			}
			carrier := container(t, pod.InitContainers, "kong-go-plugins")
			from, to := mounts(carrier)["/dest"], mounts(proxy)["/opt/kong-go"]
			assert.Equal(t, from.Name, to.Name, "what the init container fills is what Kong has")
			assert.True(t, to.ReadOnly)
			assert.NotNil(t, volumeOf(t, pod, to.Name).EmptyDir, "from which programs can be started")
			for _, each := range append(pod.InitContainers, pod.Containers...) {
				for path, m := range mounts(each) {
					assert.NotEmpty(t, volumeOf(t, pod, m.Name).Name, path)
				}
				assert.Len(t, mounts(each), len(each.VolumeMounts), "%s: one mount per path", each.Name)
			}
			if c.check != nil {
				c.check(t, pod, env)
			}
		})
	}
}

func volumeOf(t *testing.T, pod corev1.PodSpec, name string) corev1.Volume {
	t.Helper()
	for _, v := range pod.Volumes {
		if v.Name == name {
			return v
		}
	}
	require.Fail(t, "no such volume", name)
	return corev1.Volume{}
}
