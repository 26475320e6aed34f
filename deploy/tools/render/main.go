// Command render prints what the Helm chart gives, as helm template does, or,
// with -plain, the plain manifests.
package main

import (
	"flag"
	"fmt"
	"log/slog"
	"os"

	"github.com/pharoslb/pharos/deploy/tools/chart"
)

func main() {
	deploy := flag.String("deploy", "..", "`directory` of chart, crds and plain")
	plain := flag.Bool("plain", false, "print the plain manifests")
	name := flag.String("release", "metallb", "`name` of the release")
	namespace := flag.String("namespace", "metallb-system", "the release's `namespace`")
	file := flag.String("values", "", "`file` of values")
	flag.Parse()
	slog.SetLogLoggerLevel(slog.LevelWarn) // Helm's loader tells of each symbolic link
	text, err := render(*deploy, *plain, chart.Release{Name: *name, Namespace: *namespace}, *file)
	if err != nil {
		fmt.Fprintln(os.Stderr, "render:", err)
		os.Exit(1)
	}
	os.Stdout.Write(text)
}

func render(deploy string, plain bool, r chart.Release, file string) ([]byte, error) {
	c, err := chart.Load(deploy)
	if err != nil {
		return nil, err
	}
	if plain {
		return c.Plain()
	}
	var values []byte
	if file != "" {
		if values, err = os.ReadFile(file); err != nil {
			return nil, err
		}
	}
	return c.Render(r, values)
}
