package main

import (
	"archive/tar"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// writeFile writes the image as one file.
func writeFile(o options, parts []part, all v1.ImageIndex) (err error) {
	dir, err := os.MkdirTemp("", "pharos-layout-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	if err := l.AppendIndex(all, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          fullName(o),
		"org.opencontainers.image.ref.name": o.version,
	})); err != nil {
		return err
	}
	manifest, err := dockerManifest(o, parts)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "manifest.json"), manifest, 0o600); err != nil {
		return err
	}
	f, err := os.Create(o.out)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	return archive(f, dir)
}

// archive writes a directory's files as a tar file that tells nothing of this
// machine.
func archive(to io.Writer, dir string) error {
	w := tar.NewWriter(to)
	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}

// fullName is the image's name as containerd has it: with a registry.
func fullName(o options) string {
	if first, _, ok := strings.Cut(o.repo, "/"); ok && strings.ContainsAny(first, ".:") {
		return o.repo + ":" + o.version
	}
	return "docker.io/" + o.repo + ":" + o.version
}

// dockerManifest tells docker where it finds what in the layout. It knows no
// index: each platform has a tag.
func dockerManifest(o options, parts []part) ([]byte, error) {
	type entry struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	blob := func(h v1.Hash) string { return path.Join("blobs", h.Algorithm, h.Hex) }
	var entries []entry
	for _, p := range parts {
		m, err := p.image.Manifest()
		if err != nil {
			return nil, err
		}
		e := entry{Config: blob(m.Config.Digest), RepoTags: []string{o.repo + ":" + o.version + "-" + p.platform.Architecture}}
		for _, l := range m.Layers {
			e.Layers = append(e.Layers, blob(l.Digest))
		}
		entries = append(entries, e)
	}
	return json.Marshal(entries)
}
