package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// options are the flags.
type options struct {
	source    string   // directory of the product's module
	version   string   // what the program says it is, and the image's tag
	platforms []string // linux/amd64 and so on
	repo      string   // the image's name without tag
	out       string   // file to write
	push      string   // registry's reference to push to; empty pushes nothing
	created   time.Time
}

func main() {
	o := options{}
	platforms := flag.String("platforms", "linux/amd64,linux/arm64", "`list` of platforms")
	flag.StringVar(&o.source, "source", filepath.Join("..", ".."), "`directory` of the product's module")
	flag.StringVar(&o.version, "version", "devel", "the product's `version`, and the image's tag")
	flag.StringVar(&o.repo, "name", "pharoslb/pharos", "the image's `name`, without tag")
	flag.StringVar(&o.out, "out", "pharos-image.tar", "`file` to write")
	flag.StringVar(&o.push, "push", "", "push to this `reference` too, such as registry.example/pharos:v1; who one is, ~/.docker/config.json says")
	flag.Parse()
	o.platforms = strings.Split(*platforms, ",")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, w io.Writer) error {
	// reproducible-builds.org: the time to write down in place of now.
	if epoch := os.Getenv("SOURCE_DATE_EPOCH"); epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH %q is not a number of seconds", epoch)
		}
		o.created = time.Unix(seconds, 0).UTC()
	}
	var target name.Reference
	if o.push != "" {
		var err error
		if target, err = name.ParseReference(o.push, name.StrictValidation); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp("", "pharos-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var parts []part
	for _, platform := range o.platforms {
		program, err := compile(ctx, o, platform, dir)
		if err != nil {
			return err
		}
		p, err := assemble(o, platform, program)
		if err != nil {
			return fmt.Errorf("%s: %w", platform, err)
		}
		parts = append(parts, p)
	}
	all, err := index(parts)
	if err != nil {
		return err
	}
	if err := writeFile(o, parts, all); err != nil {
		return fmt.Errorf("write %s: %w", o.out, err)
	}
	if err := report(w, o, parts, all); err != nil {
		return err
	}
	if target == nil {
		return nil
	}
	if err := push(ctx, target, all); err != nil {
		return fmt.Errorf("push %s: %w", target, err)
	}
	fmt.Fprintf(w, "pushed to %s\n", target)
	return nil
}
