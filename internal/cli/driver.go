package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/dataplane/ebpf"
	"github.com/pharoslb/pharos/dataplane/ipvs"
	"github.com/pharoslb/pharos/dataplane/nft"
	"github.com/pharoslb/pharos/internal/linux/kubeproxy"
	"github.com/pharoslb/pharos/internal/linux/rival"
	"github.com/pharoslb/pharos/proxy"
	"github.com/pharoslb/pharos/why"
)

// auto leaves the choice of the driver to what the kernel can.
const auto = "auto"

// dataplaneFlags choose how packets are carried.
type dataplaneFlags struct {
	driver    string
	mode      string
	beside    bool
	scheduler string // of IPVS
	others    string // what to do about other data planes: refuse or report
}

func (f *dataplaneFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.driver, "dataplane", auto, "`driver`: "+strings.Join(f.names(), ", ")+", or auto: the first of them that this node's kernel can run")
	flags.StringVar(&f.mode, "mode", string(pharos.NAT), "how Services are carried that have no annotation pharoslb.io/dataplane-mode: nat or direct")
	flags.BoolVar(&f.beside, "beside-kube-proxy", false, "carry load balancer and external IPs of Services in mode direct, and leave the rest to the kube-proxy that runs here")
	flags.StringVar(&f.scheduler, "ipvs-scheduler", "rr", "how the driver ipvs spreads connections of mode nat, by a `name` of ipvsadm(8) whose module the kernel has: "+strings.Join(ipvs.Schedulers, ", "))
	flags.StringVar(&f.others, "other-data-planes", "refuse", "refuse: don't start where another eBPF data plane has programs at the node's devices, which get the packets of Services first; report: start, and log it")
}

// mechanism is a driver that users may choose.
type mechanism struct {
	name  string
	probe func() error // what keeps it from running here
	open  func() dataplane.Driver

	// remove takes away what it left, and nothing that the driver of that name has
	// in the kernel; none: "".
	remove func(ctx context.Context, serving string) error
}

// mechanisms are the drivers, in the order in which auto tries them.
func (f *dataplaneFlags) mechanisms() []mechanism {
	bpf, tables, virtual := ebpf.Options{}, nft.Options{}, ipvs.Options{Scheduler: f.scheduler}
	return []mechanism{
		{"ebpf", func() error { return ebpf.Probe(bpf) }, func() dataplane.Driver { return ebpf.New(bpf) },
			func(context.Context, string) error { return ebpf.Sweep(bpf) }},
		{"nft", f.probeNFT, func() dataplane.Driver { return nft.New(tables) },
			func(ctx context.Context, serving string) error {
				if serving == "ebpf" {
					return nil // it has nftables carry what isn't direct
				}
				return nft.New(tables).Remove(ctx)
			}},
		{"ipvs", func() error { return ipvs.Probe(virtual) }, func() dataplane.Driver { return ipvs.New(virtual) },
			func(ctx context.Context, _ string) error { return ipvs.New(virtual).Remove(ctx) }},
	}
}

// probeNFT asks for what mode direct needs where it is the rule.
func (f *dataplaneFlags) probeNFT() error {
	if f.mode != string(pharos.Direct) && !f.beside {
		return nil
	}
	return nft.Probe(nft.Options{})
}

func (f *dataplaneFlags) names() []string {
	var names []string
	for _, m := range f.mechanisms() {
		names = append(names, m.name)
	}
	return names
}

func (f *dataplaneFlags) check() error {
	if f.driver != auto && !slices.Contains(f.names(), f.driver) {
		return fmt.Errorf("--dataplane %q is neither auto nor one of %s", f.driver, strings.Join(f.names(), ", "))
	}
	if f.mode != string(pharos.NAT) && f.mode != string(pharos.Direct) {
		return fmt.Errorf("--mode %q is neither nat nor direct", f.mode)
	}
	if f.others != "refuse" && f.others != "report" {
		return fmt.Errorf("--other-data-planes %q is neither refuse nor report", f.others)
	}
	if f.scheduler != "" && !slices.Contains(ipvs.Schedulers, f.scheduler) {
		return fmt.Errorf("--ipvs-scheduler %q is none of %s", f.scheduler, strings.Join(ipvs.Schedulers, ", "))
	}
	if f.driver == "ipvs" && f.beside {
		return errors.New("--dataplane ipvs takes the interface and the virtual services that kube-proxy has in its mode ipvs; --beside-kube-proxy needs another driver")
	}
	return nil
}

// open chooses a driver. It returns what others may have left that an earlier
// process used in its place, too, and why it is this one.
func (f *dataplaneFlags) open() (driver dataplane.Driver, former []proxy.Leftover, chosen why.Trail, err error) {
	driver, former, chosen, err = openDriver(f.driver, f.beside, f.mechanisms())
	if err == nil && !f.beside {
		former = append(former, proxy.Leftover{Driver: "kube-proxy", Remove: func(ctx context.Context) error {
			return kubeproxy.Remove(ctx, 0, new(net.Dialer).DialContext)
		}})
	}
	return driver, former, chosen, err
}

// meet decides about the programs of other data planes that are on this node.
func (f *dataplaneFlags) meet(found []rival.Program, log *slog.Logger) error {
	if len(found) == 0 {
		return nil
	}
	if f.others == "report" {
		log.Warn("another data plane gets the packets of Services first", "program", found[0].String())
		return nil
	}
	return fmt.Errorf("another data plane gets the packets of Services first, by the program %s: leave Services to it, or have it leave them (Cilium: kubeProxyReplacement=false); "+
		"where it carries no Services from outside, start with --other-data-planes=report", found[0])
}

// openDriver opens the driver that is asked for, or the first that can run; beside
// kube-proxy never ipvs. No further one is asked what it lacks: the kernel would load its modules for that.
func openDriver(asked string, beside bool, all []mechanism) (driver dataplane.Driver, former []proxy.Leftover, chosen why.Trail, err error) {
	var candidates []dataplane.Candidate
	for _, m := range all {
		if asked == auto && !(beside && m.name == "ipvs") || asked == m.name {
			c := dataplane.Candidate{Name: m.name, Missing: m.probe()}
			if candidates = append(candidates, c); c.Missing == nil {
				break
			}
		}
	}
	name, chosen, err := dataplane.Choose(asked != auto, candidates...)
	if err != nil {
		if asked != auto {
			err = fmt.Errorf("%w; with --dataplane=auto another one is chosen", err)
		}
		return nil, nil, chosen, err
	}
	for _, m := range all {
		if m.name == name {
			driver = m.open()
		} else {
			former = append(former, proxy.Leftover{Driver: m.name, Remove: func(ctx context.Context) error { return m.remove(ctx, name) }})
		}
	}
	return driver, former, chosen, nil
}

// remove takes away what any driver left in the kernel.
func (f *dataplaneFlags) remove(ctx context.Context) error {
	var errs []error
	for _, m := range f.mechanisms() {
		errs = append(errs, m.remove(ctx, ""))
	}
	return errors.Join(errs...)
}
