package kube

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/pharoslb/pharos/internal/migrate"
)

// What the templates of MetalLB's pods tell, in its plain manifests and its chart,
// of several versions.
func TestInstallation(t *testing.T) {
	plain := func(part string) map[string]string { return map[string]string{"app": "metallb", "component": part} }
	chart := func(part string) map[string]string {
		return map[string]string{"app.kubernetes.io/name": "metallb", "app.kubernetes.io/component": part, "app.kubernetes.io/version": "v0.15.2"}
	}
	type part struct {
		labels map[string]string
		k      corev1.Container
	}
	env := func(value string) []corev1.EnvVar { return []corev1.EnvVar{{Name: "METALLB_BGP_TYPE", Value: value}} }
	for _, c := range []struct {
		name  string
		parts []part
		want  migrate.MetalLB
	}{
		{"nothing", nil, migrate.MetalLB{}},
		{"something else", []part{{map[string]string{"app": "web", "component": "controller"}, corev1.Container{Name: "controller", Image: "web:v0.1.0"}}}, migrate.MetalLB{}},
		{"0.9.5", []part{
			{plain("controller"), corev1.Container{Name: "controller", Image: "metallb/controller:v0.9.5", Args: []string{"--port=7472", "--config=config"}}},
			{plain("speaker"), corev1.Container{Name: "speaker", Image: "metallb/speaker:v0.9.5"}},
		}, migrate.MetalLB{Found: true, Mode: migrate.Native, Version: migrate.Version{Minor: 9, Patch: 5}}},
		{"frr, told to the speaker alone", []part{
			{plain("controller"), corev1.Container{Name: "controller", Image: "quay.io/metallb/controller:v0.13.12@sha256:abc"}},
			{plain("speaker"), corev1.Container{Name: "frr", Image: "quay.io/frrouting/frr:8.5.2"}},
			{plain("speaker"), corev1.Container{Name: "speaker", Image: "quay.io/metallb/speaker:v0.13.12", Env: env("frr"), Args: []string{"--lb-class", "metallb", "--ignore-exclude-lb"}}},
		}, migrate.MetalLB{Found: true, Mode: migrate.FRR, Version: migrate.Version{Minor: 13, Patch: 12}, Class: "metallb", IgnoreExcludeLabel: true}},
		{"the chart, and a mirror's image without a version", []part{
			{chart("controller"), corev1.Container{Name: "controller", Image: "mirror.example:5000/metallb/controller", Env: env("frr-k8s"), Args: []string{"--lb-class=lb", "--ignore-exclude-lb=false"}}},
		}, migrate.MetalLB{Found: true, Mode: migrate.FRRK8s, Version: migrate.Version{Minor: 15, Patch: 2}, Class: "lb"}},
		{"a mode that is told elsewhere", []part{
			{plain("speaker"), corev1.Container{Name: "speaker", Image: "metallb/speaker:main", Env: []corev1.EnvVar{{Name: "METALLB_BGP_TYPE", ValueFrom: &corev1.EnvVarSource{}}}}},
		}, migrate.MetalLB{Found: true}},
		{"Pharos", []part{{plain("controller"), corev1.Container{Name: "controller", Image: "pharoslb/pharos:v0.9.9", Args: []string{"controller", "--lb-class=x"}}}},
			migrate.MetalLB{Found: true, Replaced: true, Class: "x"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var in installation
			for _, p := range c.parts {
				in.add(p.labels, &corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{p.k}}})
			}
			var got migrate.MetalLB
			in.tell(&got)
			if got.Found != c.want.Found || got.Replaced != c.want.Replaced || got.Mode != c.want.Mode || got.Version != c.want.Version ||
				got.Class != c.want.Class || got.IgnoreExcludeLabel != c.want.IgnoreExcludeLabel {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
