package chart

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	helm "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// Chart is the chart, read.
type Chart struct {
	deploy string
	helm   *helm.Chart
}

// Release is what a chart is installed as.
type Release struct{ Name, Namespace string }

// Load reads the chart below the repository's deploy directory.
func Load(deploy string) (*Chart, error) {
	c, err := loader.LoadDir(filepath.Join(deploy, "chart"))
	if err != nil {
		return nil, fmt.Errorf("load the chart: %w", err)
	}
	return &Chart{deploy: deploy, helm: c}, nil
}

// first are the templates whose objects have to be there before the others'.
var first = []string{"crds.yaml", "rbac.yaml", "config.yaml"}

// Render returns the objects as one YAML text, those that others need first.
// values is YAML that goes over the chart's own values; empty leaves them.
func (c *Chart) Render(r Release, values []byte) ([]byte, error) {
	files, err := c.files(r, values)
	if err != nil {
		return nil, err
	}
	names := slices.DeleteFunc(sorted(files), func(n string) bool { return !strings.HasSuffix(n, ".yaml") || slices.Contains(first, n) })
	var b strings.Builder
	for _, name := range append(slices.Clone(first), names...) {
		if text := strings.TrimSpace(files[name]); text != "" {
			fmt.Fprintf(&b, "---\n%s\n", strings.TrimPrefix(text, "---\n"))
		}
	}
	return []byte(b.String()), nil
}

// Notes returns what Helm tells who has installed the chart.
func (c *Chart) Notes(r Release, values []byte) (string, error) {
	files, err := c.files(r, values)
	return files["NOTES.txt"], err
}

// files renders every template; the result is by their names without directory.
func (c *Chart) files(r Release, values []byte) (map[string]string, error) {
	over := map[string]any{}
	if err := yaml.UnmarshalStrict(values, &over); err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	all, err := util.ToRenderValues(c.helm, over, common.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, IsInstall: true, Revision: 1}, nil)
	if err != nil {
		return nil, err
	}
	out, err := engine.Render(c.helm, all)
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	for name, text := range out {
		files[path.Base(name)] = text
	}
	return files, nil
}

// Plain returns the plain manifests: the kinds as they are, and what the chart
// gives with the values of plain/values.yaml.
func (c *Chart) Plain() ([]byte, error) {
	values, err := os.ReadFile(filepath.Join(c.deploy, "plain", "values.yaml"))
	if err != nil {
		return nil, err
	}
	crds, err := filepath.Glob(filepath.Join(c.deploy, "crds", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	for _, name := range append([]string{filepath.Join(c.deploy, "plain", "head.yaml")}, crds...) {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if b.Len() > 0 {
			b.WriteString("---\n")
		}
		b.WriteString(strings.TrimPrefix(string(text), "---\n"))
	}
	rest, err := c.Render(Release{Name: "metallb", Namespace: "metallb-system"}, values)
	if err != nil {
		return nil, err
	}
	b.Write(rest)
	return []byte(b.String()), nil
}

func sorted(files map[string]string) []string {
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
