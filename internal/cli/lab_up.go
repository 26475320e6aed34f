package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/internal/lab"
	"github.com/pharoslb/pharos/internal/linux/uml"
)

// labOptions are the flags that say what to bring up.
type labOptions struct {
	until, input string
	bare         bool
	carry        labCarry
	kernel       labKernel
	kubeProxy    string
}

// labCarry are the flags that say how the lab's nodes carry packets.
type labCarry struct{ driver, mode string }

func (c *labCarry) add(cmd *cobra.Command) {
	var names dataplaneFlags
	cmd.Flags().StringVar(&c.driver, "dataplane", auto, "`driver` of the nodes' proxies: auto, "+strings.Join(names.names(), ", "))
	cmd.Flags().StringVar(&c.mode, "mode", string(pharos.NAT), "how Services are carried that have no annotation pharoslb.io/dataplane-mode: nat or direct")
}

// set puts the flags into a lab's options. It refuses what the nodes' proxies,
// beside kube-proxy or not, would refuse.
func (c *labCarry) set(o *lab.Options, beside bool) error {
	proxy := dataplaneFlags{driver: c.driver, mode: c.mode, others: "refuse", beside: beside}
	o.DataPlane, o.Mode = c.driver, c.mode
	return proxy.check()
}

func (o *labOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.until, "until", lab.StageService.String(), "how far to go: network, cluster, fabric, product or service")
	cmd.Flags().BoolVar(&o.bare, "bare", false, "leave the product and its configuration to you (--until fabric)")
	cmd.Flags().StringVar(&o.input, "input", "", "`directory` of bgp.yaml, switch.conf and test.yaml (default: the walk-through's)")
	cmd.MarkFlagsMutuallyExclusive("until", "bare")
	o.carry.add(cmd)
	o.kernel.add(cmd)
	cmd.Flags().StringVar(&o.kubeProxy, "kube-proxy", "", "have every node run the real kube-proxy in this `mode` ("+strings.Join(lab.KubeProxyModes, ", ")+"), and Pharos's proxy beside it")
}

func (o *labOptions) get() (lab.Options, error) {
	until := lab.StageFabric
	if !o.bare {
		var err error
		if until, err = lab.ParseStage(o.until); err != nil {
			return lab.Options{}, err
		}
	}
	input := o.input
	if input == "" {
		input = lab.FindInput(".")
	}
	if o.kubeProxy != "" && !slices.Contains(lab.KubeProxyModes, o.kubeProxy) {
		return lab.Options{}, fmt.Errorf("--kube-proxy %q is none of %s", o.kubeProxy, strings.Join(lab.KubeProxyModes, ", "))
	}
	result := lab.Options{Until: until, Input: input, KubeProxy: o.kubeProxy}
	return result, o.carry.set(&result, o.kubeProxy != "")
}

// errInterrupted ends a command that its user interrupted.
var errInterrupted = errors.New("interrupted; nothing is left behind")

func newLabUp(which *labFlags) *cobra.Command {
	options := &labOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the lab up, and leave it running",
		Long: `Bring the lab up, and leave it running. How far it goes, each stage on top of
the one before:

  network  client, switch and nodes, connected; no program runs
  cluster  the Kubernetes control plane, and every node Ready
  fabric   the switch with switch.conf
  product  proxy, controller and speakers, Ready
  service  bgp.yaml and test.yaml, and the client is answered`,
		Example: "  pharos lab up\n  pharos lab up --bare\n  pharos lab up --mode direct\n  pharos lab --name two up --input my-files",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := options.get()
			if err != nil {
				return err
			}
			s := which.get()
			progress := lab.NewProgress(os.Stderr)
			err = bringUp(cmd.Context(), s, o, options.kernel, progress.Report)
			progress.Stop()
			if errors.Is(err, lab.ErrRunning) {
				fmt.Printf("The lab in %s runs already; `%s down` ends it.\n", s.Dir, which.self())
				return nil
			}
			switch {
			case cmd.Context().Err() != nil:
				return errInterrupted
			case err != nil:
				return err
			}
			fmt.Print(welcome(o.Until, which))
			return nil
		},
	}
	options.add(cmd)
	return cmd
}

// bringUp starts this program as the lab's supervisor.
func bringUp(ctx context.Context, s lab.State, o lab.Options, kernel labKernel, progress func(phase, detail string)) error {
	if kernel.foreign() {
		if err := uml.Probe(); err != nil {
			return err
		}
	}
	args := append(runArgs(s, o), "--kernel", kernel.name.String())
	if o.Until >= lab.StageCluster {
		binary, err := lab.EnsureControlPlane(ctx, ".", progress)
		if err != nil {
			return err
		}
		args = append(args, "--controlplane", binary)
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the program's own file: %w", err)
	}
	return s.Up(ctx, exec.Command(self, args...), progress)
}

// runArgs are the arguments of the supervisor of a lab, but for the kernel and the
// control plane.
func runArgs(s lab.State, o lab.Options) []string {
	return []string{"lab", "run", "--state", s.Dir, "--until", o.Until.String(), "--input", o.Input, "--dataplane", o.DataPlane, "--mode", o.Mode, "--kube-proxy", o.KubeProxy}
}

// welcome says what to try in a lab that is up.
func welcome(until lab.Stage, which *labFlags) string {
	self := which.self()
	try := [][2]string{{"status", "what runs where"}}
	if until >= lab.StageCluster {
		try = append(try, [2]string{"kubectl get svc", "Kubernetes, as administrator"})
	}
	if until >= lab.StageFabric {
		try = append(try, [2]string{"switch 'show ip bgp sum'", "the switch; without a command, its prompt"})
	}
	if until >= lab.StageService {
		try = append(try, [2]string{"exec client -- curl -s 172.19.100.1", "a request; try it a few times"})
	} else {
		try = append(try, [2]string{"exec client -- bash", "a shell, here or on any node"})
	}
	try = append(try, [2]string{"reboot cy01-net112", "a node loses its power, and comes back"}, [2]string{"down", "remove everything"})
	var b strings.Builder
	b.WriteString("\nThe lab is up. Try:\n\n")
	width := 48
	for _, t := range try {
		width = max(width, len(self+" "+t[0]))
	}
	for _, t := range try {
		fmt.Fprintf(&b, "  %-*s %s\n", width, self+" "+t[0], t[1])
	}
	return b.String()
}

func newLabRun(which *labFlags) *cobra.Command {
	options := &labOptions{}
	var controlPlane string
	cmd := &cobra.Command{
		Use:    "run",
		Short:  "Be a lab's supervisor",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := options.get()
			if err != nil {
				return err
			}
			o.ControlPlane = controlPlane
			if err := supervise(cmd.Context(), which.get(), o, options.kernel); err != nil {
				return errors.New("") // whoever started it has heard why
			}
			return nil
		},
	}
	options.add(cmd)
	cmd.Flags().StringVar(&controlPlane, "controlplane", "", "`file` of pharos-controlplane")
	return cmd
}
