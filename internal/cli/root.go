package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/linux/uml"
	"github.com/pharoslb/pharos/internal/version"
)

// Init turns the program into what it was started as the first step of, and does not
// return then: a container of the lab, or all there is on a kernel of its own. Main
// calls it before anything else.
func Init() {
	kubelet.Init()
	if uml.Inside() {
		uml.Guest(Main)
	}
}

// Main runs the command that the arguments name and returns the exit status.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // whoever asks a second time does not want to wait
	err := New().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" { // empty: told already
		fmt.Fprintln(os.Stderr, "Error:", text)
	}
	return ExitCode(err)
}

// New returns the program's root command with all its subcommands.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "pharos",
		Short: "A load balancer for bare-metal Kubernetes",
		Long: `Pharos gives Services of type LoadBalancer an address on bare metal: it
allocates them from your pools, tells the network where they are, and carries
each connection to a pod.`,
		Version:       version.Version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(
		newController(),
		newSpeaker(),
		newProxy(),
		newStatus(),
		newExplain(),
		newValidate(),
		newMigrate(),
		newSwitch(),
		newLab(),
	)
	helpful(root)
	return root
}

// ExitCode is what the program ends with after an error: 2 if it was called
// wrongly, else 1.
func ExitCode(err error) int {
	var usage *usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}
