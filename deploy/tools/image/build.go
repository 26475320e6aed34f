package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// user is nobody: what needs another user, as the speaker does, says so in its pod.
const user = "65534:65534"

// part is one platform's image.
type part struct {
	platform v1.Platform
	image    v1.Image
	program  int64 // octets of the program
}

// compile builds the program for a platform into dir, and returns its file.
func compile(ctx context.Context, o options, platform, dir string) (string, error) {
	system, arch, ok := strings.Cut(platform, "/")
	if !ok {
		return "", fmt.Errorf("platform %q is not of the form linux/amd64", platform)
	}
	out := filepath.Join(dir, "pharos-"+arch)
	flags := "-s -w -buildid= -X github.com/pharoslb/pharos/internal/version.Version=" + o.version
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", flags, "-o", out, "./cmd/pharos")
	cmd.Dir = o.source
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+arch)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("compile for %s: %w", platform, err)
	}
	return out, nil
}

// assemble makes a platform's image of a program.
func assemble(o options, platform, program string) (part, error) {
	parsed, err := v1.ParsePlatform(platform)
	if err != nil {
		return part{}, err
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		return part{}, err
	}
	layer, err := programLayer(binary)
	if err != nil {
		return part{}, err
	}
	labels := map[string]string{
		"org.opencontainers.image.title":       "Pharos",
		"org.opencontainers.image.description": "A load balancer for bare-metal Kubernetes",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.version":     o.version,
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: o.created}, CreatedBy: "deploy/tools/image", Comment: "/pharos"}}); err != nil {
		return part{}, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return part{}, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = parsed.OS, parsed.Architecture, parsed.Variant
	config.Created = v1.Time{Time: o.created}
	config.Config = v1.Config{Entrypoint: []string{"/pharos"}, User: user, WorkingDir: "/", Labels: labels}
	if image, err = mutate.ConfigFile(image, config); err != nil {
		return part{}, err
	}
	image, ok := mutate.Annotations(image, labels).(v1.Image)
	if !ok {
		return part{}, fmt.Errorf("annotations make no image of it")
	}
	return part{platform: *parsed, image: image, program: int64(len(binary))}, nil
}

// programLayer is a layer with the program alone.
func programLayer(binary []byte) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "pharos", Mode: 0o755, Size: int64(len(binary)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
		return nil, err
	}
	if _, err := w.Write(binary); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	return tarball.LayerFromOpener(open, tarball.WithMediaType(types.OCILayer))
}

// index is the image of all platforms.
func index(parts []part) (v1.ImageIndex, error) {
	all := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range parts {
		digest, err := p.image.Digest()
		if err != nil {
			return nil, err
		}
		size, err := p.image.Size()
		if err != nil {
			return nil, err
		}
		all = mutate.AppendManifests(all, mutate.IndexAddendum{Add: p.image, Descriptor: v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Digest: digest, Size: size, Platform: &p.platform,
		}})
	}
	return all, nil
}
