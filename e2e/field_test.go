package e2e

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos/deploy"
)

// Every field that the schema lets a user write is written by one of the cases.
// It needs no cluster.
func TestEveryFieldIsTried(t *testing.T) {
	tried := map[string]bool{}
	texts := []string{base}
	for _, c := range cases() {
		texts = append(texts, c.apply)
	}
	for _, text := range texts {
		for _, doc := range documents(t, text) {
			kind, _ := doc["kind"].(string)
			note(tried, kind, doc["spec"])
		}
	}
	for kind, spec := range schemas(t) {
		for _, field := range fields(kind, spec) {
			if !tried[field] {
				t.Errorf("no case writes %s", field)
			}
		}
	}
}

// documents are the YAML documents of a text.
func documents(t *testing.T, text string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if doc != nil {
			all = append(all, doc)
		}
	}
}

// note marks every field that a value has; a list's items count for the list.
func note(tried map[string]bool, path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, v := range value {
			tried[path+"."+name] = true
			note(tried, path+"."+name, v)
		}
	case []any:
		for _, v := range value {
			note(tried, path, v)
		}
	}
}

// schemas are the specs of the kinds that users write, as the API server is told
// them; of a kind of two versions, the one that is stored.
func schemas(t *testing.T) map[string]map[string]any {
	t.Helper()
	all := map[string]map[string]any{}
	err := fs.WalkDir(deploy.CRDs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(deploy.CRDs, path)
		if err != nil {
			return err
		}
		var crd struct {
			Spec struct {
				Names    struct{ Kind string }
				Versions []struct {
					Storage bool
					Schema  struct {
						OpenAPIV3Schema struct {
							Properties map[string]map[string]any
						} `yaml:"openAPIV3Schema"`
					}
				}
			}
		}
		if err := yaml.NewDecoder(bytes.NewReader(text)).Decode(&crd); err != nil {
			return err
		}
		for _, v := range crd.Spec.Versions {
			if spec := v.Schema.OpenAPIV3Schema.Properties["spec"]; v.Storage && spec != nil {
				all[crd.Spec.Names.Kind] = spec
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 6 {
		t.Fatalf("schemas of %v alone", slices.Sorted(maps.Keys(all)))
	}
	return all
}

// fields are the paths of a schema's properties. Of a label selector the whole
// counts: what is in it is Kubernetes' own.
func fields(path string, schema map[string]any) []string {
	if items, ok := schema["items"].(map[string]any); ok {
		return fields(path, items)
	}
	var all []string
	properties, _ := schema["properties"].(map[string]any)
	for name, property := range properties {
		if name == "matchLabels" || name == "matchExpressions" {
			continue
		}
		all = append(all, path+"."+name)
		if property, ok := property.(map[string]any); ok {
			all = append(all, fields(path+"."+name, property)...)
		}
	}
	slices.Sort(all)
	return all
}

// kinds are all custom resources, as one manifest.
func kinds(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	err := fs.WalkDir(deploy.CRDs, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(deploy.CRDs, path)
		all.WriteString("---\n" + string(text))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}
