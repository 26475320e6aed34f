package pharos_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/pharoslb/pharos"

// rule says what a package may import beyond the standard library. A trailing
// /... covers the packages below.
type rule struct {
	pkg  string
	from []string
}

// rules are the import directions of ARCHITECTURE.md; the first that covers a
// package holds. Packages that none covers may import nothing but the standard
// library, so that a new package needs a line here.
var rules = []rule{
	// Layer 0: nouns.
	{".", []string{"why"}},
	{"why", nil},
	// Layer 1: engines know neither nouns, Kubernetes nor kernel; planners know
	// the nouns.
	{"bgp/wire", nil},
	{"bgp/bgptest", []string{"bgp", "bgp/wire"}},
	{"bgp", []string{"bgp/wire", "bfd"}},
	{"internal/compact", nil},
	{"rib", []string{"bgp/wire", "internal/compact"}},
	{"bfd/bfdtest", []string{"bfd"}},
	{"bfd", nil},
	{"arp", nil},
	{"ndp", nil},
	{"layer2", nil},
	{"election", []string{".", "why"}},
	{"ipam", []string{".", "why"}},
	{"dataplane/table", nil},
	{"dataplane", []string{".", "why", "dataplane/table"}},
	// Layer 2: drivers, each with the kernel library it needs.
	{"dataplane/dptest", []string{".", "why", "dataplane", "dataplane/table", "internal/linux/netns", "internal/linux/sandbox", "golang.org/x/sys/unix"}},
	{"dataplane/nft", []string{".", "why", "dataplane", "dataplane/table", "internal/linux/...", "github.com/google/nftables/...", "github.com/vishvananda/...", "github.com/mdlayher/netlink/...", "golang.org/x/sys/unix"}},
	{"dataplane/ipvs", []string{".", "why", "dataplane", "dataplane/table", "internal/linux/...", "github.com/moby/ipvs", "github.com/vishvananda/...", "github.com/mdlayher/netlink", "golang.org/x/sys/unix"}},
	{"dataplane/ebpf", []string{".", "dataplane", "dataplane/table", "dataplane/nft", "github.com/cilium/ebpf/...", "github.com/vishvananda/...", "golang.org/x/sys/unix"}},
	{"bgp/bgptcp", []string{"bgp", "internal/linux/netns", "golang.org/x/sys/unix"}},
	{"bfd/bfdudp", []string{"bfd", "internal/linux/netns", "golang.org/x/sys/unix"}},
	{"bgp/radv", []string{"github.com/mdlayher/...", "github.com/vishvananda/netlink", "golang.org/x/net/ipv6", "golang.org/x/sys/unix"}},
	{"internal/linux/lan", []string{"arp", "ndp", "layer2", "github.com/mdlayher/netlink", "golang.org/x/net/bpf", "golang.org/x/sys/unix"}},
	{"internal/linux/kubeproxy", []string{"internal/linux/...", "github.com/google/nftables"}},
	{"internal/linux/rival", []string{"internal/linux/...", "github.com/cilium/ebpf/...", "github.com/vishvananda/netlink", "golang.org/x/sys/unix"}},
	{"internal/linux/conntrack", []string{".", "dataplane", "github.com/vishvananda/...", "golang.org/x/sys/unix"}},
	{"internal/linux/...", []string{".", "why", "bgp/wire", "rib", "internal/compact", "internal/linux/...", "github.com/vishvananda/...", "golang.org/x/sys/unix"}},
	// Layer 3: roles know neither Kubernetes nor kernel.
	{"controller", []string{".", "why", "ipam", "internal/task"}},
	{"speaker", []string{".", "why", "bfd", "bgp", "bgp/wire", "dataplane", "layer2", "election", "internal/task"}},
	{"proxy", []string{".", "why", "dataplane", "dataplane/table", "internal/task"}},
	{"router", []string{".", "why", "bgp", "bgp/wire", "rib", "internal/task"}},
	{"internal/task", []string{"golang.org/x/sync/errgroup"}},
	// Layer 4: adapters.
	{"internal/rule", []string{"."}},
	{"internal/crd", []string{".", "why", "api/v1beta1", "api/v1beta2", "internal/meant", "internal/rule", "k8s.io/api/core/v1", "k8s.io/apimachinery/..."}},
	{"internal/migrate", []string{".", "why", "controller", "speaker"}},
	{"internal/configmap", []string{".", "internal/meant", "internal/rule", "go.yaml.in/yaml/v3"}},
	{"internal/kube", []string{".", "why", "internal/migrate", "api/...", "internal/crd", "controller", "speaker", "proxy", "internal/configmap", "internal/version", "k8s.io/..."}},
	{"internal/file", []string{".", "why", "api/v1beta1", "api/v1beta2", "deploy", "internal/configmap", "internal/crd", "internal/meant", "internal/rule", "go.yaml.in/yaml/v3", "k8s.io/apimachinery/pkg/util/validation"}},
	{"internal/localapi", nil},
	{"internal/meant", nil},
	{"internal/gossip", []string{".", "why", "bfd", "election", "layer2", "speaker", "github.com/hashicorp/memberlist"}},
	{"internal/metrics", []string{".", "why", "dataplane", "controller", "speaker", "proxy", "router", "bfd", "bgp", "github.com/prometheus/..."}},
	{"internal/nxos", []string{"internal/meant", ".", "why", "bfd", "bgp", "bgp/wire", "rib", "router"}},
	{"internal/version", nil},
	{"internal/lab/...", []string{".", "why", "deploy", "examples/...", "internal/lab/...", "internal/linux/...", "internal/localapi", "internal/version", "k8s.io/...", "sigs.k8s.io/yaml", "github.com/vishvananda/netlink", "golang.org/x/..."}},
	{"deploy", nil},
	{"api/v1beta2", []string{"k8s.io/api/core/v1", "k8s.io/apimachinery/..."}},
	{"api/v1beta1", []string{"api/v1beta2", "k8s.io/apimachinery/..."}},
	// Layer 5: wiring, and what looks at the whole from outside.
	{"internal/cli", []string{"..."}},
	{"cmd/pharos", []string{"internal/cli"}},
	{"e2e/...", []string{"..."}},
	{"interop", []string{"..."}},
	{"bench/...", []string{"..."}},
	// Engines as libraries, without the roles.
	{"examples/announce", []string{"bfd", "bgp", "bgp/wire", "bfd/bfdudp", "bgp/bgptcp"}},
	{"examples/bfdpair", []string{"bfd", "bfd/bfdudp"}},
}

// covers reports whether pattern names pkg.
func covers(pattern, pkg string) bool {
	if pattern == "..." {
		return true
	}
	if base, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == base || strings.HasPrefix(pkg, base+"/")
	}
	return pattern == pkg
}

type goPackage struct {
	imports map[string]string // path → a file that imports it; tests aside
	doc     string            // text of the package comment
}

// packages reads every Go package of the module.
func packages(t *testing.T) map[string]*goPackage {
	t.Helper()
	found := map[string]*goPackage{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			name := d.Name()
			if path == "." {
				return nil
			}
			_, err := os.Stat(filepath.Join(path, "go.mod"))
			if err == nil || strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" {
				return filepath.SkipDir // another module's, or no package
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		pkg := found[dir]
		if pkg == nil {
			pkg = &goPackage{imports: map[string]string{}}
			found[dir] = pkg
		}
		if file.Doc != nil {
			pkg.doc += file.Doc.Text()
		}
		for _, imp := range file.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			pkg.imports[name] = path
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Imports point the way ARCHITECTURE.md says, so that planners stay free of
// clients, kernels and clocks.
func TestImportDirection(t *testing.T) {
	for dir, pkg := range packages(t) {
		var allowed []string
		if i := slices.IndexFunc(rules, func(r rule) bool { return covers(r.pkg, dir) }); i >= 0 {
			allowed = rules[i].from
		}
		for imp, file := range pkg.imports {
			name := imp
			if rest, ok := strings.CutPrefix(imp, module); ok {
				name = strings.TrimPrefix(rest, "/")
				if name == "" {
					name = "."
				}
			} else if first, _, _ := strings.Cut(imp, "/"); !strings.Contains(first, ".") {
				continue // standard library
			}
			if !slices.ContainsFunc(allowed, func(p string) bool { return covers(p, name) }) {
				t.Errorf("%s imports %s; package %s may import, beyond the standard library, only %v (rules in arch_test.go, reasons in ARCHITECTURE.md)", file, imp, dir, allowed)
			}
		}
	}
}

// Every package says what it is for and where to start reading.
func TestPackagesAreDocumented(t *testing.T) {
	pkgs := packages(t)
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		doc := pkgs[dir].doc
		if doc == "" {
			t.Errorf("package %s has no package comment", dir)
		} else if !strings.HasPrefix(doc, "Command ") && !strings.Contains(strings.Join(strings.Fields(doc), " "), "Start reading at") {
			t.Errorf("the comment of package %s does not say where to start reading", dir)
		}
	}
}

// Pure code owns no clock, goroutine or logger: callers bring them.
func TestPureCodeIsPure(t *testing.T) {
	pure := []string{".", "internal/rule", "internal/crd", "internal/migrate", "why", "bgp/wire", "rib", "arp", "ndp", "layer2", "election", "ipam", "dataplane"}
	forbidden := []string{"log", "log/slog", "net", "os", "os/exec", "sync", "net/http"}
	pkgs := packages(t)
	for _, dir := range pure {
		if pkgs[dir] == nil {
			continue
		}
		for _, imp := range forbidden {
			file, ok := pkgs[dir].imports[imp]
			if ok && !(dir == "." && imp == "log/slog") { // Secret hides itself from slog
				t.Errorf("%s imports %s: package %s is pure", file, imp, dir)
			}
		}
	}
}

// Generated files are what the generator makes of the API types.
func TestGeneratedFilesAreFresh(t *testing.T) {
	dir := t.TempDir()
	generate := func(args ...string) {
		t.Helper()
		cmd := exec.Command("go", append([]string{"tool", "-modfile=api/tools.mod", "controller-gen"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	generate("crd", "paths=./api/...", "output:crd:dir="+filepath.Join(dir, "crds"))
	homes := map[string]string{"deploy/crds": "crds"}
	for _, pkg := range []string{"v1beta1", "v1beta2"} {
		generate("object", "paths=./api/"+pkg, "output:object:dir="+filepath.Join(dir, pkg))
		homes["api/"+pkg] = pkg
	}
	for home, made := range homes {
		fresh, err := os.ReadDir(filepath.Join(dir, made))
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range fresh {
			names = append(names, f.Name())
			want, err := os.ReadFile(filepath.Join(dir, made, f.Name()))
			if err != nil {
				t.Fatal(err)
			}
			if f.Name() == "metallb.io_bgppeers.yaml" { // as api/v1beta1/doc.go says
				want = bytes.Replace(want, []byte("\n  group:"), []byte("\n  conversion:\n    strategy: None\n    webhook: null\n  group:"), 1)
			}
			if got, err := os.ReadFile(filepath.Join(home, f.Name())); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s/%s is not what the types say (%v): run make generate", home, f.Name(), err)
			}
		}
		there, err := filepath.Glob(home + "/*")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range there {
			name := filepath.Base(f)
			if (home == "deploy/crds" || strings.HasPrefix(name, "zz_generated")) && !slices.Contains(names, name) {
				t.Errorf("%s is made of no type: remove it", f)
			}
		}
	}
}

// The plain manifests are what the Helm chart gives.
func TestManifestsAreFresh(t *testing.T) {
	cmd := exec.Command("go", "-C", "deploy/tools", "run", "./render", "-plain")
	cmd.Stderr = os.Stderr
	want, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v", cmd.Args, err)
	}
	if got, err := os.ReadFile("deploy/pharos.yaml"); err != nil || !bytes.Equal(got, want) {
		t.Errorf("deploy/pharos.yaml is not what the chart gives (%v): change deploy/chart, run make generate", err)
	}
}

// The repository is whole: what a newcomer is told to read is there.
func TestSignpostsExist(t *testing.T) {
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile", ".ci/run"} {
		if _, err := os.Stat(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
