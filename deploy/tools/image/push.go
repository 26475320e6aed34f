package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// push sends all platforms to a registry: TLS, but on loopback.
func push(ctx context.Context, to name.Reference, all v1.ImageIndex) error {
	return remote.WriteIndex(to, all, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain))
}

// report tells what was built, and how big it is.
func report(w io.Writer, o options, parts []part, all v1.ImageIndex) error {
	digest, err := all.Digest()
	if err != nil {
		return err
	}
	info, err := os.Stat(o.out)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "%s:%s@%s\n\n", o.repo, o.version, digest)
	t := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "PLATFORM\tPROGRAM\tIMAGE, COMPRESSED\tMANIFEST")
	for _, p := range parts {
		m, err := p.image.Manifest()
		if err != nil {
			return err
		}
		size := m.Config.Size
		for _, l := range m.Layers {
			size += l.Size
		}
		own, err := p.image.Digest()
		if err != nil {
			return err
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.platform, mib(p.program), mib(size), own)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s: %s\n", o.out, mib(info.Size()))
	return err
}

func mib(octets int64) string { return fmt.Sprintf("%.1f MiB", float64(octets)/(1<<20)) }
