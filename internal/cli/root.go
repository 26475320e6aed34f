package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/lab/kubelet"
	"github.com/pharoslb/pharos/internal/version"
)

// Init turns the program into a container of the lab if it was started as one's
// first step, and does not return then. Main calls it before anything else.
func Init() { kubelet.Init() }

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
