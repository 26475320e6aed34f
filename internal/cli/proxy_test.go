package cli

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/deploy"
	"github.com/pharoslb/pharos/internal/linux/rival"
)

func TestProxyFlags(t *testing.T) {
	good := proxyFlags{node: "n1", strictARP: "set", podCIDRs: []string{"10.233.64.1/18", "fd00::/56"}, nodePorts: []string{"10.10.2.0/24"},
		dataplane: dataplaneFlags{driver: auto, mode: "direct", beside: true, others: "refuse"}}
	opts, err := good.options()
	if err != nil || opts.Check || opts.PodCIDRs[0].String() != "10.233.64.0/18" || len(opts.NodePorts) != 1 || opts.Mode != pharos.Direct || !opts.Beside {
		t.Errorf("options %+v, %v", opts, err)
	}
	for _, c := range []struct {
		want   string
		change func(*proxyFlags)
	}{
		{"--strict-arp", func(f *proxyFlags) { f.strictARP = "yes" }},
		{"--dataplane", func(f *proxyFlags) { f.dataplane.driver = "xdp" }},
		{"--other-data-planes", func(f *proxyFlags) { f.dataplane.others = "ignore" }},
		{"--ipvs-scheduler \"rrr\" is none of rr, wrr, lc, ", func(f *proxyFlags) { f.dataplane.scheduler = "rrr" }},
		{"--mode", func(f *proxyFlags) { f.dataplane.mode = "dsr" }},
		{"--node-name", func(f *proxyFlags) { f.node = "" }},
		{"--cluster-cidr", func(f *proxyFlags) { f.podCIDRs = []string{"10.0.0.1"} }},
		{"--nodeport-addresses", func(f *proxyFlags) { f.nodePorts = []string{"primary"} }},
	} {
		f := good
		c.change(&f)
		if _, err := f.options(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("error %v, want one about %s", err, c.want)
		}
	}
}

// Roles that share a node's network start beside each other without a flag, on the
// ports that the proxy's manifest and MetalLB's name.
func TestPortsDoNotCollide(t *testing.T) {
	for name, cmd := range map[string]*cobra.Command{"7473": newProxy(), "7472": newSpeaker()} {
		if got := cmd.Flags().Lookup("port").DefValue; got != name {
			t.Errorf("pharos %s --port is %s, want %s", cmd.Name(), got, name)
		}
		if own := []byte("--port=" + name); !bytes.Contains(map[string][]byte{"proxy": deploy.Proxy, "speaker": deploy.Pharos}[cmd.Name()], own) {
			t.Errorf("the manifest of %s has no %s", cmd.Name(), own)
		}
	}
}

// Every driver that a user may choose has the name by which it is chosen.
func TestDriversHaveTheirFlagsNames(t *testing.T) {
	for _, m := range new(dataplaneFlags).mechanisms() {
		if got := m.open().Name(); got != m.name {
			t.Errorf("--dataplane %s opens %s", m.name, got)
		}
	}
}

// The first driver that can run is opened; what the others may have left is to be
// removed.
func TestDriverIsOpened(t *testing.T) {
	lacks := errors.New("the kernel lacks it")
	fake := func(name string, missing error) mechanism {
		return mechanism{
			name: name, probe: func() error { return missing }, open: func() dataplane.Driver { return named{dataplane.NewModel(1), name} },
			remove: func(_ context.Context, serving string) error {
				return errors.New(name + " while " + serving + " serves")
			},
		}
	}
	all := []mechanism{fake("ebpf", lacks), fake("nft", nil), fake("ipvs", nil)}
	for _, c := range []struct {
		asked  string
		beside bool
		all    []mechanism
		want   string // the driver, then the former ones
		trail  string
		err    string
	}{
		{asked: auto, all: all, want: "nft ebpf ipvs", trail: "driverUnavailable: ebpf can't run here: the kernel lacks it\ndriverChosen: nft, which this node's kernel can run"},
		{asked: "ipvs", all: all, want: "ipvs ebpf nft", trail: "driverChosen: ipvs, as asked for by name"},
		{asked: "ebpf", all: all, err: "ebpf can't run here: the kernel lacks it; with --dataplane=auto another one is chosen"},
		{asked: auto, beside: true, all: []mechanism{fake("nft", lacks), fake("ipvs", nil)}, err: "nft can't run here: the kernel lacks it"},
	} {
		driver, former, chosen, err := openDriver(c.asked, c.beside, c.all)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: error %v", c.asked, err)
			}
			continue
		}
		got := driver.Name()
		for _, l := range former {
			got += " " + l.Driver
			if err := l.Remove(t.Context()); err.Error() != l.Driver+" while "+driver.Name()+" serves" {
				t.Error(err)
			}
		}
		if err != nil || got != c.want || chosen.String() != c.trail {
			t.Errorf("%s: %s because\n%s, %v", c.asked, got, chosen, err)
		}
	}
}

// named is a driver of some name.
type named struct {
	*dataplane.Model
	name string
}

func (n named) Name() string { return n.name }

func TestOtherDataPlanesAreMet(t *testing.T) {
	cilium := []rival.Program{{Owner: "Cilium", Name: "cil_from_netdev", Device: "eth0"}}
	for _, c := range []struct {
		policy string
		found  []rival.Program
		err    string
	}{
		{"refuse", nil, ""},
		{"refuse", cilium, "by the program cil_from_netdev of Cilium at eth0: leave Services to it"},
		{"report", cilium, ""},
	} {
		err := (&dataplaneFlags{others: c.policy}).meet(c.found, slog.New(slog.DiscardHandler))
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.policy, err)
		}
	}
}
