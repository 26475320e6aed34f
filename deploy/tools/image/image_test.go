package main

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// unpack returns the files of a tar, by name, and their headers.
func unpack(t *testing.T, r io.Reader) (map[string][]byte, map[string]*tar.Header) {
	t.Helper()
	files, headers := map[string][]byte{}, map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files, headers
		}
		if err != nil {
			t.Fatal(err)
		}
		if files[h.Name], err = io.ReadAll(tr); err != nil {
			t.Fatal(err)
		}
		headers[h.Name] = h
	}
}

// check looks into one platform's image, and returns its program.
func check(t *testing.T, image v1.Image, arch string) []byte {
	t.Helper()
	if err := validate.Image(image); err != nil {
		t.Fatalf("%s: %v", arch, err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.OS != "linux" || config.Architecture != arch || config.Config.User != "65534:65534" ||
		!reflect.DeepEqual(config.Config.Entrypoint, []string{"/pharos"}) || len(config.Config.Cmd)+len(config.Config.Env) > 0 ||
		config.Config.Labels["org.opencontainers.image.version"] != "v7.8.9" || !config.Created.IsZero() {
		t.Errorf("%s: configuration %+v", arch, config)
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%s: %d layers, %v", arch, len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	files, headers := unpack(t, content)
	if h := headers["pharos"]; len(files) != 1 || h == nil || h.FileInfo().Mode() != 0o755 || h.Uid != 0 || h.ModTime.Unix() != 0 {
		t.Errorf("%s: the layer holds %v", arch, headers)
	}
	return files["pharos"]
}

// The image is built for both architectures, is in its file and in a registry what
// it should be, runs, and is the same when it is built again.
func TestImage(t *testing.T) {
	dir := t.TempDir()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	reference := strings.TrimPrefix(server.URL, "http://") + "/net/pharos:v7.8.9"
	o := options{
		source: filepath.Join("..", "..", ".."), version: "v7.8.9", platforms: []string{"linux/amd64", "linux/arm64"},
		repo: "pharoslb/pharos", out: filepath.Join(dir, "one.tar"), push: reference,
	}
	var said bytes.Buffer
	if err := run(t.Context(), o, &said); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", said.Bytes())

	one, err := os.ReadFile(o.out)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := unpack(t, bytes.NewReader(one))
	for name, data := range files {
		file := filepath.Join(dir, "layout", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	l, err := layout.FromPath(filepath.Join(dir, "layout"))
	if err != nil {
		t.Fatal(err)
	}
	root, err := l.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := root.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["io.containerd.image.name"] != "docker.io/pharoslb/pharos:v7.8.9" {
		t.Fatalf("the layout holds %+v, %v", manifest, err)
	}
	digest := manifest.Manifests[0].Digest
	if !strings.Contains(said.String(), digest.String()) {
		t.Errorf("the digest is not told:\n%s", &said)
	}
	fromFile, err := root.ImageIndex(digest)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	fromRegistry, err := remote.Index(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fromRegistry.Digest(); err != nil || got != digest {
		t.Errorf("the registry has %v (%v), the file %v", got, err, digest)
	}
	for _, where := range []v1.ImageIndex{fromFile, fromRegistry} {
		if err := validate.Index(where); err != nil {
			t.Error(err)
		}
		m, err := where.IndexManifest()
		if err != nil || len(m.Manifests) != len(o.platforms) {
			t.Fatalf("%+v, %v", m, err)
		}
		for _, d := range m.Manifests {
			image, err := where.Image(d.Digest)
			if err != nil {
				t.Fatal(err)
			}
			program := check(t, image, d.Platform.Architecture)
			if d.Platform.Architecture == runtime.GOARCH {
				runs(t, dir, program)
			}
			// docker's view of the same file.
			tag, err := name.NewTag("pharoslb/pharos:v7.8.9-" + d.Platform.Architecture)
			if err != nil {
				t.Fatal(err)
			}
			forDocker, err := tarball.ImageFromPath(o.out, &tag)
			if err != nil {
				t.Fatal(err)
			}
			a, aerr := forDocker.ConfigName()
			b, berr := image.ConfigName()
			if aerr != nil || berr != nil || a != b {
				t.Errorf("docker would load %v (%v), want %v (%v)", a, aerr, b, berr)
			}
		}
	}

	o.out, o.push = filepath.Join(dir, "two.tar"), ""
	if err := run(t.Context(), o, io.Discard); err != nil {
		t.Fatal(err)
	}
	if two, err := os.ReadFile(o.out); err != nil || !bytes.Equal(one, two) {
		t.Errorf("built again, it is another: %v", err)
	}
}

// runs starts a program with nothing but itself.
func runs(t *testing.T, dir string, program []byte) {
	t.Helper()
	file := filepath.Join(dir, "pharos")
	if err := os.WriteFile(file, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), file, "--version")
	cmd.Env = []string{}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "v7.8.9") {
		t.Errorf("pharos --version: %v\n%s", err, out)
	}
}

func TestRefused(t *testing.T) {
	for want, o := range map[string]options{
		"linux/amd64":         {platforms: []string{"amd64"}},
		"compile for plan9/x": {platforms: []string{"plan9/x"}},
		"could not parse":     {push: "no registry, no name"},
	} {
		o.source = filepath.Join("..", "..", "..")
		if err := run(t.Context(), o, io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if err := run(t.Context(), options{}, io.Discard); err == nil || !strings.Contains(err.Error(), "SOURCE_DATE_EPOCH") {
		t.Error(err)
	}
}
