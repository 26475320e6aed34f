package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos/internal/lab"
)

// labFlags say which lab is meant.
type labFlags struct{ state, name string }

func (f *labFlags) add(cmd *cobra.Command) {
	cmd.PersistentFlags().StringVar(&f.state, "state", "", "the lab's `directory` (default: $XDG_RUNTIME_DIR/pharos-lab, or /run/pharos-lab)")
	cmd.PersistentFlags().StringVar(&f.name, "name", "", "the lab's `name`, to have several side by side")
}

func (f *labFlags) get() lab.State {
	if f.state != "" {
		if dir, err := filepath.Abs(f.state); err == nil {
			return lab.State{Dir: dir}
		}
		return lab.State{Dir: f.state}
	}
	return lab.State{Dir: lab.DefaultState(f.name, os.Getenv("XDG_RUNTIME_DIR"), os.Getuid())}
}

func newLab() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lab",
		Short: "A whole cluster, its switch and a client in network namespaces",
		Long: `The lab is the walk-through's world on this machine: three nodes with a real
Kubernetes control plane, a layer-3 switch and a client, each in a network
namespace of its own. It needs root, or a kernel that allows user namespaces.`,
	}
	which := &labFlags{}
	which.add(cmd)
	cmd.AddCommand(
		newLabUp(which), newLabRun(which), newLabDown(which), newLabStatus(which),
		newLabExec(which), newLabSwitch(which), newLabKubectl(which),
		newLabReboot(which), newLabPower(which), newLabLogs(which), newLabDemo(which),
	)
	return cmd
}

// labOptions are the flags that say what to bring up.
type labOptions struct {
	until, input string
	bare         bool
}

func (o *labOptions) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.until, "until", lab.StageService.String(), "how far to go: network, cluster, fabric, product or service")
	cmd.Flags().BoolVar(&o.bare, "bare", false, "leave the product and its configuration to you (--until fabric)")
	cmd.Flags().StringVar(&o.input, "input", "", "`directory` of bgp.yaml, switch.conf and test.yaml (default: the walk-through's)")
	cmd.MarkFlagsMutuallyExclusive("until", "bare")
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
	return lab.Options{Until: until, Input: input}, nil
}

// errInterrupted ends a command that its user interrupted.
var errInterrupted = errors.New("interrupted; nothing is left behind")

func newLabUp(which *labFlags) *cobra.Command {
	options := &labOptions{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring the lab up, and leave it running",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o, err := options.get()
			if err != nil {
				return err
			}
			s := which.get()
			progress := lab.NewProgress(os.Stderr)
			err = bringUp(cmd.Context(), s, o, progress.Report)
			progress.Stop()
			if errors.Is(err, lab.ErrRunning) {
				fmt.Printf("The lab in %s runs already; `pharos lab down` ends it.\n", s.Dir)
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
func bringUp(ctx context.Context, s lab.State, o lab.Options, progress func(phase, detail string)) error {
	args := []string{"lab", "run", "--state", s.Dir, "--until", o.Until.String(), "--input", o.Input}
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

// welcome says what to try in a lab that is up.
func welcome(until lab.Stage, which *labFlags) string {
	self := "pharos lab"
	if which.name != "" {
		self += " --name " + which.name
	}
	if which.state != "" {
		self += " --state " + which.state
	}
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
	for _, t := range try {
		fmt.Fprintf(&b, "  %-48s %s\n", self+" "+t[0], t[1])
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
			if err := which.get().Supervise(cmd.Context(), o); err != nil {
				os.Exit(1) // whoever started it has heard why
			}
			return nil
		},
	}
	options.add(cmd)
	cmd.Flags().StringVar(&controlPlane, "controlplane", "", "`file` of pharos-controlplane")
	return cmd
}

func newLabDown(which *labFlags) *cobra.Command {
	patience := 30 * time.Second
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the lab, whatever state it is in",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := which.get().Down(cmd.Context(), patience)
			if errors.Is(err, lab.ErrNotRunning) {
				fmt.Println("No lab runs here.")
				return nil
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&patience, "patience", patience, "how long to wait before the lab is killed")
	return cmd
}

// call has the lab do something and ends the program with its status.
func call(s lab.State, r lab.Request) error {
	var err error
	if r.Dir, err = os.Getwd(); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	r.Env = os.Environ()
	status, err := s.Call(r)
	if err != nil {
		if status > 1 { // the statuses of shells: 127, no such program
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(status)
		}
		return err
	}
	if status != 0 {
		os.Exit(status)
	}
	return nil
}

func newLabStatus(which *labFlags) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "What runs where",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r := lab.Request{Verb: lab.VerbStatus}
			switch output {
			case "":
			case "json":
				r.Args = []string{output}
			default:
				return fmt.Errorf("--output %s: only json", output)
			}
			return call(which.get(), r)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, for programs")
	return cmd
}

func newLabExec(which *labFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec PLACE -- PROGRAM [ARGUMENT…]",
		Short: "Run a program on the client, the switch, a node or in a pod",
		Long: `Run a program of this machine in a place of the lab: client, switch, control, a
node by its name, or a pod as pod/NAME or pod/NAMESPACE/NAME. It has this
terminal or these pipes, this directory and this environment.`,
		Example: "  pharos lab exec client -- curl -s 172.19.100.1\n  pharos lab exec cy01-net112 -- ip route\n  pharos lab exec cy01-net112 -- tcpdump -ni eth0 port 179",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			program := args[1:]
			if program[0] == "--" {
				program = program[1:]
			}
			if len(program) == 0 {
				return errors.New("no program given")
			}
			// Programs are found as the caller finds them; the product itself
			// need not be installed.
			if path, err := exec.LookPath(program[0]); err == nil {
				program[0] = path
			} else if self, err := os.Executable(); err == nil && program[0] == "pharos" {
				program[0] = self
			}
			return call(which.get(), lab.Request{Verb: lab.VerbExec, Place: args[0], Args: program})
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newLabSwitch(which *labFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "switch [COMMAND]",
		Short:   "The switch's command line: one command, or a prompt",
		Example: "  pharos lab switch 'show ip bgp sum'\n  pharos lab switch 'sh ip route bgp | json'",
		RunE: func(_ *cobra.Command, args []string) error {
			s := which.get()
			if _, err := os.Stat(s.SwitchSocket()); err != nil {
				return errors.New("no switch runs here: `pharos lab up` starts one, unless told to stop before")
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the program's own file: %w", err)
			}
			argv := []string{"pharos", "switch", "exec", "--socket", s.SwitchSocket()}
			if len(args) > 0 {
				argv = append(argv, strings.Join(args, " "))
			}
			return syscall.Exec(self, argv, os.Environ())
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newLabKubectl(which *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:                "kubectl [ARGUMENT…]",
		Short:              "kubectl, as the cluster's administrator",
		Example:            "  pharos lab kubectl get svc\n  pharos lab kubectl apply -f my.yaml",
		DisableFlagParsing: true, // they are kubectl's
		RunE: func(_ *cobra.Command, args []string) error {
			args = which.leading(args)
			return call(which.get(), lab.Request{Verb: lab.VerbKubectl, Args: args})
		},
	}
}

// leading takes the lab's own flags from the front of another program's.
func (f *labFlags) leading(args []string) []string {
	for len(args) > 0 {
		flag, value, ok := strings.Cut(args[0], "=")
		into := map[string]*string{"--state": &f.state, "--name": &f.name}[flag]
		if into == nil {
			break
		}
		if args = args[1:]; !ok {
			if len(args) == 0 {
				break
			}
			value, args = args[0], args[1:]
		}
		*into = value
	}
	return args
}

func newLabReboot(which *labFlags) *cobra.Command {
	// The switch is told nothing: it notices when the hold time, 9 s, is over.
	down := 15 * time.Second
	cmd := &cobra.Command{
		Use:   "reboot NODE",
		Short: "Cut a node's link, kill everything on it, bring it back",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return call(which.get(), lab.Request{Verb: lab.VerbReboot, Place: args[0], Pause: down})
		},
	}
	cmd.Flags().DurationVar(&down, "down", down, "how long the node is off")
	return cmd
}

func newLabPower(which *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:       "power on|off NODE",
		Short:     "Give a node power, or take it",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"on", "off"},
		RunE: func(_ *cobra.Command, args []string) error {
			return call(which.get(), lab.Request{Verb: lab.VerbPower, Place: args[1], Args: args[:1]})
		},
	}
}

func newLabLogs(which *labFlags) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs WHAT [CONTAINER]",
		Short: "The log of the lab, the switch, a program of the control plane or a pod",
		Long: `Print the log of: lab, switch, etcd, kube-apiserver, kube-controller-manager,
kube-scheduler, or a pod as pod/NAME or pod/NAMESPACE/NAME.`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return call(which.get(), lab.Request{Verb: lab.VerbLogs, Place: args[0], Args: args[1:], Follow: follow})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is added")
	return cmd
}
