package file

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos/internal/crd"
)

var update = flag.Bool("update", false, "write the golden files anew")

// show renders problems, one a line.
func show(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%d: ", p.Line)
		if p.Warning {
			b.WriteString("warning: ")
		}
		if p.Object.Kind != "" {
			fmt.Fprintf(&b, "%s: ", p.Object)
		}
		if p.Field != "" {
			fmt.Fprintf(&b, "%s: ", p.Field)
		}
		b.WriteString(p.Reason)
		if p.Hint != "" {
			fmt.Fprintf(&b, " (%s)", p.Hint)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func samples(t testing.TB, folder string) []string {
	t.Helper()
	var out []string
	for _, ext := range []string{"yaml", "json"} {
		names, err := filepath.Glob(filepath.Join("testdata", folder, "*."+ext))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, names...)
	}
	if len(out) == 0 {
		t.Fatalf("no samples in %s", folder)
	}
	return out
}

// Configurations as users of MetalLB write them are judged as the golden files say.
func TestSamples(t *testing.T) {
	for _, folder := range []string{"accepted", "refused"} {
		for _, name := range samples(t, folder) {
			t.Run(filepath.Base(name), func(t *testing.T) {
				s := New(DefaultNamespace)
				if err := s.Add(name); err != nil {
					t.Fatal(err)
				}
				problems := s.Check()
				errs := slices.ContainsFunc(problems, func(p Problem) bool { return !p.Warning })
				if errs != (folder == "refused") {
					t.Errorf("%s has the errors\n%s", name, show(problems))
				}
				got := show(problems)
				if strings.Contains(got, "hunter2") || strings.Contains(got, "supersecret") || strings.Contains(got, "9876543") {
					t.Error("a password shows")
				}
				golden := strings.TrimSuffix(name, filepath.Ext(name)) + ".want"
				if *update && got != "" {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil && (got != "" || !os.IsNotExist(err)) {
					t.Fatal(err)
				}
				if got != string(want) {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
			})
		}
	}
}

// What counts, and what is left alone.
func TestCounts(t *testing.T) {
	s := New(DefaultNamespace)
	if err := s.Add("testdata/accepted"); err != nil {
		t.Fatal(err)
	}
	if s.Files != 9 || s.Count != 26 || s.Skipped != 3 {
		t.Errorf("%d files, %d objects, %d left alone", s.Files, s.Count, s.Skipped)
	}
	for _, path := range []string{"testdata/nosuch", t.TempDir()} {
		if err := New(DefaultNamespace).Add(path); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}

// The same text, read by us, gives what a cluster would: a Config of every field.
func TestObjects(t *testing.T) {
	s := New(DefaultNamespace)
	if err := s.Add("testdata/accepted/bgp.yaml"); err != nil {
		t.Fatal(err)
	}
	config, problems := new(crd.Parser).Parse(&s.Objects)
	if len(problems) > 0 || len(config.Pools) != 2 || len(config.Peers) != 2 || len(config.Advertisements) != 2 {
		t.Fatalf("%+v %v", config, problems)
	}
	if p := config.Peers[0]; p.Password.Reveal() != "supersecret" || p.HoldTime.Seconds() != 90 || p.NodeSelectors[1][0].Values[1] != "hostB" {
		t.Errorf("%+v", p)
	}
	if p := config.Pools[1]; p.Quota["shop"] != 5 || len(p.Reservations) != 2 || p.Allocation.Priority != 50 {
		t.Errorf("%+v", p)
	}
}

// A directory may hold other things: they are told of, and do no harm. What is in
// hidden folders is not looked at.
func TestDirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b/pool.yml":    "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: [10.0.0.0/8]}\n",
		"values.yaml":   "replicas: 1\n",
		"a/half.yaml":   "kind: IPAddressPool\n",
		"notes.txt":     "{{",
		".git/x.yaml":   "{{",
		"b/nothing.yml": "# nothing\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	s := New(DefaultNamespace)
	if err := s.Add(link); err != nil {
		t.Fatal(err)
	}
	want := "1: is no object of the API: apiVersion or kind is missing\n1: warning: is no object of the API: apiVersion or kind is missing\n"
	if got := show(s.Check()); got != want || s.Files != 4 || s.Count != 1 {
		t.Errorf("%d files, %d objects\n%s", s.Files, s.Count, got)
	}
	s = New(DefaultNamespace)
	if err := s.Add(filepath.Join(dir, "values.yaml")); err != nil {
		t.Fatal(err)
	}
	if p := s.Check(); len(p) != 1 || p[0].Warning {
		t.Errorf("%+v", p)
	}
}

func TestSchemasAreRead(t *testing.T) {
	if got := len(kinds()); got != 10 {
		t.Errorf("%d kinds", got)
	}
}

func TestLine(t *testing.T) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte("a:\n  b:\n  - c\n  -\n    d: e\n  x.y/z: 1\n"), &doc); err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]int{"": 1, "a": 1, "a.b": 2, "a.b[0]": 3, "a.b[1].d": 5, "a.b[7]": 2, "a[x.y/z]": 6, "a.nosuch.b": 1, "a.b.c": 2, "a.b[0].c": 3} {
		if got := line(doc.Content[0], field); got != want {
			t.Errorf("%q is on line %d, want %d", field, got, want)
		}
	}
}

// What is wrong with one document is not wrong with the others.
func TestDocuments(t *testing.T) {
	const l2 = "apiVersion: metallb.io/v1beta1\nkind: L2Advertisement\nmetadata: {name: %s}\nspec: {x: 1}\n"
	a, b := fmt.Sprintf(l2, "a"), fmt.Sprintf(l2, "b")
	const field = ": spec.x: there is no such field (known are interfaces, ipAddressPoolSelectors, ipAddressPools, nodeSelectors, preferredNodeSelectors, serviceSelectors)\n"
	for _, c := range []struct{ name, text, want string }{
		{"broken ones between", "a: [b\n---\n" + a + "--- # c\n\tx\n---\na: b: c\n---\r\n" + b + "---\n\"unclosed\n---\nkind: x\n", "1: not YAML: did not find expected ',' or ']'\n" +
			"6: L2Advertisement metallb-system/a" + field + "8: not YAML: found character that cannot start any token (tabs do not indent, blanks do)\n" +
			"10: not YAML: mapping values are not allowed in this context\n15: L2Advertisement metallb-system/b" + field +
			"17: not YAML: found unexpected end of stream\n19: is no object of the API: apiVersion or kind is missing\n"},
		{"no separator", "a: |\n  ---\n---b: c\n", "1: is no object of the API: apiVersion or kind is missing\n"},
		{"many broken ones", strings.Repeat("---\na: b: c\n", 100), strings.Repeat("?", mostBroken)},
		{"a template", "a: {{ b }}: c\n---\na: b: c\n", "?"},
		{"a directive", "%YAML 1.1\n---\n" + a, "?6: L2Advertisement metallb-system/a" + field[:len(field)-1] + "\n"},
		{"JSON one after the other", "{\n\t\"a\": 1\n}\n{}{\"apiVersion\": \"metallb.io/v1beta1\", \"kind\": \"L2Advertisement\",\n\"metadata\": {\"name\": \"a\"},\n\"spec\": {\"x\": 1}}", "1: is no object of the API: apiVersion or kind is missing\n" +
			"4: is no object of the API: apiVersion or kind is missing\n6: L2Advertisement metallb-system/a" + field},
		{"the ConfigMap's lines", "# c\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata:\n  config: |\n    address-pools:\n    - {name: a, protocol: bgp, addresses: [10.0.0.0/24]}\n    - {name: a, protocol: bgp, addresses: [10.0.1.0/24]}\n",
			"9: ConfigMap metallb-system/config: address-pools[1].name: there is a pool \"a\" already, on line 8\n"},
		{"the ConfigMap's text alone, twice", "# c\n---\n# c\naddress-pools:\n- {name: a, protocol: bgp, addresses: [10.0.0.0/24]}\n- {name: a, protocol: bgp, addresses: [10.0.1.0/24]}\n---\npeers: []\n",
			"6: ConfigMap metallb-system/config: address-pools[1].name: there is a pool \"a\" already, on line 5\n8: ConfigMap metallb-system/config: metadata.name: ConfigMap metallb-system/config is written already, in -, line 4 (leave one out)\n"},
		{"no line between two objects", "apiVersion: v1\nkind: x\napiVersion: v1\nkind: y\n", ""},
		{"no line between two of ours", a + "apiVersion: v1\n", "4: L2Advertisement metallb-system/a" + field + "5: L2Advertisement metallb-system/a: apiVersion: is given twice (first on line 1; a line of --- is between two objects)\n"},
		{"as good as JSON", "{a: 1}\n---\n" + a, "1: is no object of the API: apiVersion or kind is missing\n6: L2Advertisement metallb-system/a" + field},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := New(DefaultNamespace)
			if err := s.Read("-", strings.NewReader(c.text)); err != nil {
				t.Fatal(err)
			}
			got, want := show(s.Check()), c.want
			for strings.HasPrefix(want, "?") { // whatever it is
				_, got, _ = strings.Cut(got, "\n")
				want = want[1:]
			}
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A text that multiplies itself is refused in bounded time.
func TestBomb(t *testing.T) {
	bomb := "apiVersion: metallb.io/v1beta1\nkind: IPAddressPool\nmetadata: {name: a}\nspec:\n  addresses: &a [" + strings.Repeat("10.0.0.0/8,", 3000) + "]\nitems:\n" + strings.Repeat("- *a\n", 3000)
	s := New(DefaultNamespace)
	if err := s.Read("bomb", strings.NewReader("kind: List\nitems:\n- &x\n  "+strings.ReplaceAll(bomb, "\n", "\n  ")+"\n"+strings.Repeat("- *x\n", 3000))); err != nil {
		t.Fatal(err)
	}
	if got := show(s.Check()); !strings.Contains(got, "there are more than 2000000 values") && !strings.Contains(got, "written already") {
		t.Errorf("got %.300s", got)
	}
}

func FuzzRead(f *testing.F) {
	for _, folder := range []string{"accepted", "refused"} {
		for _, name := range samples(f, folder) {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte("apiVersion: metallb.io/v1beta1\nkind: &k IPAddressPool\nmetadata: &m {name: *k, <<: *m}\nspec: *m"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := New(DefaultNamespace)
		if err := s.Read("-", strings.NewReader(string(text))); err != nil {
			t.Fatal(err)
		}
		for _, p := range s.Check() {
			if p.Reason == "" || p.Line < 0 {
				t.Errorf("%+v", p)
			}
		}
	})
}
