package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/lab/demo"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

// scratch is where the demo's files go unless they are kept: on a file system
// in memory that only the sandbox sees, and that goes with it.
const scratch = "/run"

// controlPlaneEnv hands the control plane's file to the program inside the
// sandbox.
const controlPlaneEnv = "PHAROS_CONTROLPLANE"

func newLabDemo(which *labFlags) *cobra.Command {
	var input string
	var carry labCarry
	var kernel labKernel
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Perform the walk-through's ten steps in a lab of their own",
		Long: `Bring up a cluster, a switch and a client, perform the walk-through's ten steps
from its original input files, print each step's evidence, and end with a table.
Nothing is left behind, unless --state names a directory for keys and logs. The
exit status says whether all steps succeeded.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := lab.Options{Until: lab.StageCluster, Input: input}
			if o.Input == "" {
				o.Input = lab.FindInput(".")
			}
			if err := carry.set(&o, false); err != nil {
				return err
			}
			if kernel.foreign() {
				return kernel.demo(cmd.Context(), which.state, o)
			}
			return runDemo(cmd.Context(), which.state, o)
		},
	}
	cmd.Flags().StringVar(&input, "input", "", "`directory` of bgp.yaml, switch.conf and test.yaml (default: the walk-through's)")
	carry.add(cmd)
	kernel.add(cmd)
	return cmd
}

func runDemo(ctx context.Context, keep string, o lab.Options) error {
	progress := lab.NewProgress(os.Stdout)
	o.Progress = progress.Report
	if !sandbox.Inside() {
		binary, err := lab.EnsureControlPlane(ctx, ".", progress.Report)
		if err != nil {
			progress.Stop()
			return err
		}
		if err := os.Setenv(controlPlaneEnv, binary); err != nil {
			return err
		}
	}
	// Outside, this is where the program ends.
	if err := sandbox.Enter(); err != nil {
		return err
	}
	o.Dir = keep
	if keep == "" {
		if err := syscall.Mount("pharos", scratch, "tmpfs", 0, "mode=0755"); err != nil {
			return fmt.Errorf("make a scratch directory: %w", err)
		}
		o.Dir = filepath.Join(scratch, "pharos-lab")
	}
	l, err := lab.Start(ctx, o)
	progress.Stop()
	if err == nil {
		defer l.Close()
		err = demo.New(l, os.Stdout).Run(ctx)
	}
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil && l != nil:
		printLogs(l.LogTails())
	}
	return err
}

// printLogs shows what the product's programs had to say of a failure.
func printLogs(tails map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(tails)) {
		fmt.Printf("\n── last log lines of %s\n%s\n", name, tails[name])
	}
}
