package cli

import (
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

// check refuses a name that would lead to another directory than the lab's own.
func (f *labFlags) check() error {
	if strings.ContainsAny(f.name, "/\x00") {
		return fmt.Errorf("--name %q: a name has no slash; --state names a directory", f.name)
	}
	return nil
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

// self is how the lab's commands begin for the lab that is meant.
func (f *labFlags) self() string {
	self := "pharos lab"
	if f.name != "" {
		self += " --name " + f.name
	}
	if f.state != "" {
		self += " --state " + f.state
	}
	return self
}

// notRunning says that the lab that is meant does not run, and how to have it.
func (f *labFlags) notRunning() error {
	return fmt.Errorf("no lab runs in %s: bring one up with `%s up`", f.get().Dir, f.self())
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
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return which.check() }
	cmd.AddCommand(
		newLabUp(which), newLabRun(which), newLabDown(which), newLabStatus(which),
		newLabExec(which), newLabSwitch(which), newLabKubectl(which),
		newLabReboot(which), newLabPower(which), newLabLogs(which), newLabDemo(which),
	)
	return cmd
}

func newLabDown(which *labFlags) *cobra.Command {
	patience := 30 * time.Second
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove the lab, whatever state it is in",
		Long: `End every program of the lab and remove its namespaces and its directory. What a
lab that crashed left is removed too. Where no lab runs, that is no error.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := which.get().Down(cmd.Context(), patience)
			if errors.Is(err, lab.ErrNotRunning) {
				fmt.Printf("No lab runs in %s.\n", which.get().Dir)
				return nil
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&patience, "patience", patience, "how long to wait before the lab is killed")
	return cmd
}

// call has the lab do something and ends the program with its status.
func (f *labFlags) call(r lab.Request) error {
	var err error
	if r.Dir, err = os.Getwd(); err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	r.Env = os.Environ()
	status, err := f.get().Call(r)
	if errors.Is(err, lab.ErrNotRunning) {
		return f.notRunning()
	}
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
		Long: `Show the control plane's programs, the switch, the nodes and their power, and the
pods. What the product itself knows: pharos lab exec cy01-net112 -- pharos status.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r := lab.Request{Verb: lab.VerbStatus}
			switch output {
			case "":
			case "json":
				r.Args = []string{output}
			default:
				return fmt.Errorf("--output %s: only json", output)
			}
			return which.call(r)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "json, for programs")
	return cmd
}

func newLabExec(which *labFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "exec PLACE -- PROGRAM [ARGUMENT…]",
		Short: "Run a program on the client, the switch, a node or in a pod",
		Long: `Run a program of this machine in a place of the lab: client, switch, control,
segment, a node by its name, or a pod as pod/NAME or pod/NAMESPACE/NAME. It has this
terminal or these pipes, this directory and this environment. In a pod it is a
program of the pod's, and the product is /pharos. At segment all that passes
between nodes, switch and control plane is seen.`,
		Example: "  pharos lab exec client -- curl -s 172.19.100.1\n  pharos lab exec cy01-net112 -- pharos explain ng-svc\n  pharos lab exec cy01-net112 -- tcpdump -ni eth0 port 179\n  pharos lab exec pod/metallb-system/NAME -- /pharos status",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			program := args[1:]
			if program[0] == "--" {
				program = program[1:]
			}
			if len(program) == 0 {
				return errors.New("no program given")
			}
			program[0] = findProgram(args[0], program[0])
			return which.call(lab.Request{Verb: lab.VerbExec, Place: args[0], Args: program})
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// findProgram finds a program as the caller finds it, and the product itself even
// where it is not installed. A pod may see other files than the caller: there a
// name is left as it is, but for the product's, which is at the root of its image.
func findProgram(place, name string) string {
	switch path, err := exec.LookPath(name); {
	case strings.HasPrefix(place, "pod/"):
		if name == "pharos" {
			return "/pharos"
		}
	case err == nil:
		return path
	case name == "pharos":
		if self, err := os.Executable(); err == nil {
			return self
		}
	}
	return name
}

func newLabSwitch(which *labFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "switch [COMMAND]",
		Short: "The switch's command line: one command, or a prompt",
		Long: `Has the lab's switch execute one command, or, without one, reads commands: at a
terminal with history (arrow keys), completion (Tab) and help (?), else one a
line. exit leaves.`,
		Example: "  pharos lab switch 'show ip bgp sum'\n  pharos lab switch 'sh ip route bgp | json'\n  pharos lab switch",
		RunE: func(_ *cobra.Command, args []string) error {
			s := which.get()
			if up, err := s.Running(); err == nil && !up {
				return which.notRunning()
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find the program's own file: %w", err)
			}
			foreign := s.Foreign()
			if foreign {
				s = lab.State{Dir: guestState}
			} else if _, err := os.Stat(s.SwitchSocket()); err != nil {
				return errors.New("no switch runs in this lab: it was brought up with --until network or cluster, or is not so far yet")
			}
			argv := []string{"pharos", "switch", "exec", "--socket", s.SwitchSocket()}
			if len(args) > 0 {
				argv = append(argv, strings.Join(args, " "))
			}
			if foreign {
				return which.call(lab.Request{Verb: lab.VerbExec, Place: lab.Switch, Args: append([]string{self}, argv[1:]...)})
			}
			return syscall.Exec(self, argv, os.Environ())
		},
	}
	cmd.Flags().SetInterspersed(false)
	return cmd
}

func newLabKubectl(which *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "kubectl [ARGUMENT…]",
		Short: "kubectl, as the cluster's administrator",
		Long: `kubectl, as the cluster's administrator. The lab's nodes serve kubectl logs; in
place of kubectl exec there is pharos lab exec pod/NAMESPACE/NAME -- PROGRAM.`,
		Example:            "  pharos lab kubectl get svc\n  pharos lab kubectl apply -f my.yaml",
		DisableFlagParsing: true, // they are kubectl's
		RunE: func(cmd *cobra.Command, args []string) error {
			args = which.leading(args)
			if err := which.check(); err != nil {
				return err
			}
			if up, err := which.get().Running(); err == nil && !up && len(args) == 1 && (args[0] == "--help" || args[0] == "-h") {
				return cmd.Help() // kubectl's own is in the lab
			}
			return which.call(lab.Request{Verb: lab.VerbKubectl, Args: args})
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
		Long: `Cut a node's link, kill everything on it without a word to anybody, and bring it
back when it has been off for a while. It returns when the node is Ready.`,
		Example: "  pharos lab reboot cy01-net112\n  pharos lab reboot --down 1m cy01-net112",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return which.call(lab.Request{Verb: lab.VerbReboot, Place: args[0], Pause: down})
		},
	}
	cmd.Flags().DurationVar(&down, "down", down, "how long the node is off")
	return cmd
}

func newLabPower(which *labFlags) *cobra.Command {
	return &cobra.Command{
		Use:       "power on|off NODE",
		Short:     "Give a node power, or take it",
		Example:   "  pharos lab power off cy01-net112\n  pharos lab power on cy01-net112",
		Args:      cobra.ExactArgs(2),
		ValidArgs: []string{"on", "off"},
		RunE: func(_ *cobra.Command, args []string) error {
			return which.call(lab.Request{Verb: lab.VerbPower, Place: args[1], Args: args[:1]})
		},
	}
}

func newLabLogs(which *labFlags) *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:   "logs WHAT [CONTAINER]",
		Short: "The log of the lab, the switch, a program of the control plane or a pod",
		Long: `Print the log of: lab, switch, etcd, kube-apiserver, kube-controller-manager,
kube-scheduler, or a pod as pod/NAME or pod/NAMESPACE/NAME, with CONTAINER where
it has several. pharos lab status lists the pods.`,
		Example: "  pharos lab logs -f switch\n  pharos lab logs pod/metallb-system/NAME",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			return which.call(lab.Request{Verb: lab.VerbLogs, Place: args[0], Args: args[1:], Follow: follow})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on printing what is added")
	return cmd
}
