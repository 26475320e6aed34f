package cli

import (
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
)

func TestProxyFlags(t *testing.T) {
	good := proxyFlags{node: "n1", strictARP: "set", podCIDRs: []string{"10.233.64.1/18", "fd00::/56"}, nodePorts: []string{"10.10.2.0/24"},
		dataplane: dataplaneFlags{driver: auto, mode: "direct", beside: true}}
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

// Every driver has a name that its flag takes, and is removed where another is
// chosen.
func TestDriverIsOpened(t *testing.T) {
	f := dataplaneFlags{driver: "nft"}
	driver, former, chosen, err := f.open()
	if err != nil || driver.Name() != "nft" || !strings.Contains(chosen.String(), "asked for by name") {
		t.Errorf("%v because %s, %v", driver, chosen, err)
	}
	if len(former) != len(f.names())-1 {
		t.Errorf("%d of %d drivers are not the chosen one", len(former), len(f.names()))
	}
	for _, d := range former {
		if d.Name() == driver.Name() {
			t.Errorf("%s would be removed, and serves", d.Name())
		}
	}
}
