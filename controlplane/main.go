// Command pharos-controlplane is the real Kubernetes control plane in one
// program: the lab and the tests start its components as child processes.
//
// Its only argument of its own is the component's name; all that follows are
// that component's flags, as upstream documents them.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubectl "k8s.io/kubectl/pkg/cmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	components := map[string]func() *cobra.Command{
		"etcd":                    newEtcdCommand,
		"kube-apiserver":          apiserver.NewAPIServerCommand,
		"kube-controller-manager": controllermanager.NewControllerManagerCommand,
		"kube-scheduler":          scheduler.NewSchedulerCommand,
		"kubectl":                 kubectl.NewDefaultKubectlCommand,
	}
	if len(os.Args) < 2 || components[os.Args[1]] == nil {
		var names []string
		for name := range components {
			names = append(names, name)
		}
		slices.Sort(names)
		fmt.Fprintf(os.Stderr, "usage: pharos-controlplane COMPONENT [FLAGS]\ncomponents: %s\n", strings.Join(names, " "))
		os.Exit(2)
	}
	name := os.Args[1]
	// Each component reads os.Args itself here and there (kubectl for its
	// plugins, klog for its flags), so it sees what it would see alone.
	os.Args = append([]string{name}, os.Args[2:]...)
	cmd := components[name]()
	cmd.SetArgs(os.Args[1:])
	if name == "kubectl" {
		os.Exit(cli.Run(cmd))
	}
	if err := cmd.ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}
