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
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// names are the components, in the order in which a control plane starts; nodes
// that have kube-proxy run that one.
var names = []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubectl"}

// command makes a component's command, or nil for a name it does not know.
func command(name string) *cobra.Command {
	switch name {
	case "etcd":
		return newEtcdCommand()
	case "kube-apiserver":
		return apiserver.NewAPIServerCommand()
	case "kube-controller-manager":
		return controllermanager.NewControllerManagerCommand()
	case "kube-scheduler":
		return scheduler.NewSchedulerCommand()
	case "kube-proxy":
		return proxy.NewProxyCommand()
	case "kubectl":
		return kubectl.NewDefaultKubectlCommand()
	}
	return nil
}

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	name := os.Args[1]
	// Each component reads os.Args itself here and there (kubectl for its
	// plugins, klog for its flags), so it sees what it would see alone.
	os.Args = append([]string{name}, os.Args[2:]...)
	cmd := command(name)
	if cmd == nil {
		usage()
	}
	if name == "kubectl" {
		os.Exit(cli.Run(cmd))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	cmd.SetArgs(os.Args[1:])
	cmd.SilenceUsage = true // what went wrong is not how it was called
	if err := cmd.ExecuteContext(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

func usage() {
	fmt.Fprintf(os.Stderr, "usage: pharos-controlplane COMPONENT [FLAGS]\ncomponents: %s\n", strings.Join(names, " "))
	os.Exit(2)
}
