package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/internal/gossip"
	"github.com/pharoslb/pharos/internal/linux/lan"
	"github.com/pharoslb/pharos/internal/task"
	"github.com/pharoslb/pharos/layer2"
)

// segmentFlags are the speaker's for layer 2.
type segmentFlags struct {
	excludeFile string
	tuningFile  string
	wan         bool
	memberBFD   string
	sticky      bool
	spread      float64
	fenceAfter  time.Duration
	period      time.Duration
}

func (f *segmentFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.excludeFile, "exclude-interfaces", "/etc/metallb/excludel2.yaml", "file with the interfaces that nothing is announced on by layer 2, as MetalLB has it; where it is not there, those of container networks")
	flags.StringVar(&f.tuningFile, "ml-config", "/etc/metallb/memberlist/config.json", "file with settings of the membership, as MetalLB has it; it need not be there")
	flags.BoolVar(&f.wan, "ml-wan-config", false, "take the membership's slow settings, for nodes far from each other")
	flags.StringVar(&f.memberBFD, "member-bfd", "off", "watch the paths to the other speakers by BFD: off, or interval and multiplier, such as 100msx3")
	flags.BoolVar(&f.sticky, "l2-sticky", false, "who announces an address on layer 2 keeps it when a node comes back that would win it; if all speakers say so")
	flags.Float64Var(&f.spread, "l2-spread", 0, "let no node announce more layer 2 addresses than this many times the average, such as 1.25; if all speakers say so; 0: leave it to chance, as MetalLB does")
	flags.DurationVar(&f.fenceAfter, "l2-fence-after", 5*time.Second, "how long a node that hears less than half of the speakers goes on answering for layer 2 addresses; 0: for ever")
	flags.DurationVar(&f.period, "l2-announce-period", 0, "announce all layer 2 addresses anew so often, unasked; 0: only when they move and when links come up")
}

func (f *segmentFlags) policy() (election.Policy, error) {
	if f.spread != 0 && !(f.spread >= 1 && f.spread <= 100) {
		return election.Policy{}, fmt.Errorf("--l2-spread %v is neither 0 nor between 1 and 100", f.spread)
	}
	if f.fenceAfter < 0 || f.period < 0 {
		return election.Policy{}, errors.New("--l2-fence-after and --l2-announce-period can't be negative")
	}
	return election.Policy{Sticky: f.sticky, Spread: f.spread}, nil
}

// tuning is the membership's.
func (f *segmentFlags) tuning() (*gossip.Tuning, error) {
	t := gossip.LAN()
	if f.wan {
		t = gossip.WAN()
	}
	text, err := os.ReadFile(f.tuningFile)
	if errors.Is(err, fs.ErrNotExist) {
		return &t, nil
	}
	if err == nil {
		t, err = gossip.ParseTuning(t, text)
	}
	if err != nil {
		return nil, fmt.Errorf("settings of the membership, %s: %w", f.tuningFile, err)
	}
	return &t, nil
}

// profile is how the paths to the other speakers are watched; false: they are not.
func (f *segmentFlags) profile() (bfd.Profile, bool, error) {
	if f.memberBFD == "off" || f.memberBFD == "" {
		return bfd.Profile{}, false, nil
	}
	bad := fmt.Errorf("--member-bfd %q is neither off nor interval and multiplier such as 100msx3", f.memberBFD)
	interval, times, ok := strings.Cut(f.memberBFD, "x")
	if !ok {
		return bfd.Profile{}, false, bad
	}
	d, err := time.ParseDuration(interval)
	if err != nil || d < 10*time.Millisecond || d > time.Minute {
		return bfd.Profile{}, false, fmt.Errorf("%w, of 10ms to 1m", bad)
	}
	var n uint8
	if _, err := fmt.Sscanf(times+"\n", "%d\n", &n); err != nil || n < 2 {
		return bfd.Profile{}, false, fmt.Errorf("%w, of 2 to 255 times", bad)
	}
	return bfd.Profile{ReceiveInterval: d, TransmitInterval: d, DetectMultiplier: n}, true, nil
}

// containerLinks are the interfaces that nothing is announced on unless a file says
// others, by MetalLB's names.
var containerLinks = []string{
	"^docker.*", "^cbr.*", "^dummy.*", "^virbr.*", "^lxcbr.*", "^veth.*", "^lo$", "^cali.*", "^tunl.*", "^flannel.*",
	"^kube-ipvs.*", "^cni.*", "^nodelocaldns.*", "^lxc.*",
}

// excluded are the expressions of interfaces that nothing is announced on.
func (f *segmentFlags) excluded() ([]*regexp.Regexp, error) {
	text, err := os.ReadFile(f.excludeFile)
	if errors.Is(err, fs.ErrNotExist) {
		var list []*regexp.Regexp
		for _, e := range containerLinks {
			list = append(list, regexp.MustCompile(e))
		}
		return list, nil
	}
	if err != nil {
		return nil, fmt.Errorf("excluded interfaces: %w", err)
	}
	list, err := parseExcluded(text)
	if err != nil {
		return nil, fmt.Errorf("excluded interfaces, %s: %w", f.excludeFile, err)
	}
	return list, nil
}

// parseExcluded reads MetalLB's file: a list of expressions under one key.
func parseExcluded(text []byte) ([]*regexp.Regexp, error) {
	var file struct {
		Exclude []yaml.Node `yaml:"announcedInterfacesToExclude"`
	}
	d := yaml.NewDecoder(strings.NewReader(string(text)))
	d.KnownFields(true)
	if err := d.Decode(&file); err != nil {
		return nil, fmt.Errorf("want announcedInterfacesToExclude and a list of regular expressions: %w", err)
	}
	var list []*regexp.Regexp
	for i, n := range file.Exclude {
		e, err := regexp.Compile(n.Value)
		if n.Kind != yaml.ScalarNode || err != nil {
			return nil, fmt.Errorf("line %d: announcedInterfacesToExclude[%d]: %q is not a regular expression: %w", n.Line, i, n.Value, err)
		}
		list = append(list, e)
	}
	return list, nil
}

// announcer makes the announcer on this node's links; conflict is told of other hosts'
// claims.
func (f *segmentFlags) announcer(conflict func(layer2.Conflict) bool, log *slog.Logger) (*lan.Server, error) {
	exclude, err := f.excluded()
	if err != nil {
		return nil, err
	}
	return lan.New(lan.Options{Exclude: exclude, Period: f.period, Handler: conflictFunc(conflict), Log: log}), nil
}

// conflictFunc is a layer2.Handler.
type conflictFunc func(layer2.Conflict) bool

// Conflict implements layer2.Handler.
func (f conflictFunc) Conflict(c layer2.Conflict) bool { return f(c) }

// outlive makes parts of a role and of others that have to run until the role has ended,
// as it needs them for that.
func outlive(role task.Part, others ...task.Part) []task.Part {
	ended := make(chan struct{})
	parts := []task.Part{func(ctx context.Context) error {
		defer close(ended)
		return role(ctx)
	}}
	for _, part := range others {
		parts = append(parts, func(ctx context.Context) error {
			late, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			done := make(chan struct{})
			defer close(done)
			go func() {
				select {
				case <-ended:
					cancel()
				case <-done:
				}
			}()
			return part(late)
		})
	}
	return parts
}
