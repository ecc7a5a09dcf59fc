// Package checks_test reads the files for users with what reads them: those of helm/ with the types of Kubernetes and of
// the ingress controller, those of docker/ with Docker's own parsers, and so on for decK, Terraform and goreleaser. It is a
// module of its own because of what these bring with them.
package checks_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	kongv1 "github.com/kong/kubernetes-configuration/api/configuration/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"sigs.k8s.io/yaml"
)

func TestManifests(t *testing.T) {
	t.Parallel()
	kinds := map[string]func() any{
		"KongClusterPlugin": func() any { return &kongv1.KongClusterPlugin{} },
		"KongPlugin":        func() any { return &kongv1.KongPlugin{} },
		"KongConsumer":      func() any { return &kongv1.KongConsumer{} },
		"Secret":            func() any { return &corev1.Secret{} },
		"Service":           func() any { return &corev1.Service{} },
		"Ingress":           func() any { return &networkingv1.Ingress{} },
	}
	var names []string
	for _, pattern := range []string{"../../helm/manifests/*.yaml", "../../examples/configure/*/kic.yaml"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found)
		names = append(names, found...)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		for _, document := range bytes.Split(text, []byte("\n---\n")) {
			var head struct {
				Kind       string `json:"kind"`
				APIVersion string `json:"apiVersion"`
			}
			require.NoError(t, yaml.Unmarshal(document, &head))
			require.Contains(t, kinds, head.Kind, name)
			assert.NoError(t, yaml.UnmarshalStrict(document, kinds[head.Kind]()), "%s: %s", name, head.Kind)
			assert.NotEmpty(t, head.APIVersion, name)
		}
	}
}

// The parts of the values that the chart copies into the pod as they are.
func TestPodParts(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("../../helm/*.yaml")
	require.NoError(t, err)
	require.NotEmpty(t, names)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		var all struct {
			Deployment any `json:"deployment"`
		}
		require.NoError(t, yaml.Unmarshal(text, &all))
		part, err := yaml.Marshal(all.Deployment)
		require.NoError(t, err)
		var pod struct {
			InitContainers          []corev1.Container   `json:"initContainers"`
			UserDefinedVolumes      []corev1.Volume      `json:"userDefinedVolumes"`
			UserDefinedVolumeMounts []corev1.VolumeMount `json:"userDefinedVolumeMounts"`
		}
		assert.NoError(t, yaml.UnmarshalStrict(part, &pod), name)
	}
}

// The checks find mistakes.
func TestStrict(t *testing.T) {
	t.Parallel()
	var c corev1.Container
	assert.ErrorContains(t, yaml.UnmarshalStrict([]byte("name: a\nvolumeMount: []\n"), &c), "volumeMount")
	var p kongv1.KongPlugin
	assert.ErrorContains(t, yaml.UnmarshalStrict([]byte("plugin: a\nconfigs: {}\n"), &p), "configs")
}
