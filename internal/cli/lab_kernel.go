package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// labKernel is the flag that says on which kernel a lab runs.
type labKernel struct{ name kernelName }

// kernelName is "own" or "uml".
type kernelName string

const (
	ownKernel kernelName = "own"
	userMode  kernelName = "uml"
)

// String, Set and Type make a kernelName a flag's value.
func (k *kernelName) String() string { return cmp.Or(string(*k), string(ownKernel)) }

// Set takes a name.
func (k *kernelName) Set(text string) error {
	if name := kernelName(text); name == ownKernel || name == userMode {
		*k = name
		return nil
	}
	return errors.New("either own or uml")
}

// Type is what help calls the value.
func (k *kernelName) Type() string { return "kernel" }

func (k *labKernel) add(cmd *cobra.Command) {
	cmd.Flags().Var(&k.name, "kernel", "own: this machine's; uml: User-mode Linux, which has IPVS (package user-mode-linux; some five times slower)")
}

// foreign tells whether a kernel has to be booted for the lab.
func (k *labKernel) foreign() bool { return k.name == userMode && !uml.Inside() }

// labMemory is what a whole lab takes on a kernel of its own, in MiB.
const labMemory = 2048

// labMachine is the machine that runs this program with the arguments, as a lab of
// its own.
func labMachine(controlPlane string, args ...string) (uml.Machine, error) {
	if err := uml.Probe(); err != nil {
		return uml.Machine{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return uml.Machine{}, fmt.Errorf("find the program's own file: %w", err)
	}
	return uml.Machine{
		Init: self, Args: args, Memory: labMemory,
		// Each page of a guest's process is a mapping of the machine's process for it, of
		// which there may be 65530 (vm.max_map_count): a heap has to stay small.
		Env:     []string{sandbox.Fresh, "GOMEMLIMIT=176MiB", controlPlaneEnv + "=" + controlPlane},
		Modules: append([]string{"veth", "bridge"}, ipvs.Modules...),
	}, nil
}

// demo performs the walk-through on a kernel booted for it.
func (k *labKernel) demo(ctx context.Context, keep string, o lab.Options) error {
	if keep != "" {
		return errors.New("--state can't be kept with --kernel uml: the lab's files are in the kernel's own memory")
	}
	if !sandbox.Inside() {
		progress := lab.NewProgress(os.Stdout)
		binary, err := lab.EnsureControlPlane(ctx, ".", progress.Report)
		progress.Stop()
		if err != nil {
			return err
		}
		if err := os.Setenv(controlPlaneEnv, binary); err != nil {
			return err
		}
	}
	// Outside, this is where the program ends; with the sandbox ends the kernel.
	if err := sandbox.Enter(); err != nil {
		return err
	}
	args := []string{"lab", "demo", "--dataplane", o.DataPlane, "--mode", o.Mode}
	if o.Input != "" {
		args = append(args, "--input", o.Input)
	}
	m, err := labMachine(os.Getenv(controlPlaneEnv), args...)
	if err != nil {
		return err
	}
	status, err := uml.Boot(ctx, m, func(line string) { fmt.Println(line) })
	switch {
	case ctx.Err() != nil:
		return errInterrupted
	case err != nil:
		return err
	case status != 0:
		return errors.New("")
	}
	return nil
}

// guestState is the directory of a lab on a kernel of its own, in its memory.
const guestState = "/run/pharos-lab"

// supervise is the supervisor's life, on whichever kernel the lab has.
func supervise(ctx context.Context, s lab.State, o lab.Options, kernel labKernel) error {
	switch {
	case uml.Inside():
		return s.Guest(ctx, o, lab.GuestLine)
	case !kernel.foreign():
		return s.Supervise(ctx, o)
	}
	m, err := labMachine(o.ControlPlane, append(runArgs(lab.State{Dir: guestState}, o), "--kernel", string(userMode), "--controlplane", o.ControlPlane)...)
	if err != nil {
		return err
	}
	return s.SuperviseKernel(ctx, m)
}
