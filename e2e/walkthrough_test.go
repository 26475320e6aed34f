package e2e

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/lab/demo"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// The walk-through's ten steps, from its original input files.
func TestWalkthrough(t *testing.T) {
	t.Parallel()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	l, err := lab.Start(t.Context(), lab.Options{
		Dir: t.TempDir(), Until: lab.StageCluster, Input: lab.FindInput("."), Pharos: product,
		Progress: func(phase, detail string) { t.Log(phase, detail) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var evidence bytes.Buffer
	d := demo.New(l, &evidence)
	for _, step := range d.Steps() {
		t.Run(fmt.Sprintf("%02d %s", step.Number, step.Title), func(t *testing.T) {
			evidence.Reset()
			r := d.Perform(t.Context(), step)
			t.Log(evidence.String())
			if r.Err != nil {
				t.Errorf("wanted: %s; %v", r.Want, r.Err)
			}
		})
	}
	if t.Failed() {
		for name, tail := range l.LogTails() {
			t.Logf("last log lines of %s:\n%s", name, strings.TrimSpace(tail))
		}
	}
}
