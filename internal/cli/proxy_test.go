package cli

import (
	"strings"
	"testing"
)

func TestProxyFlags(t *testing.T) {
	good := proxyFlags{node: "n1", strictARP: "set", podCIDRs: []string{"10.233.64.1/18", "fd00::/56"}, nodePorts: []string{"10.10.2.0/24"}}
	opts, err := good.options()
	if err != nil || opts.Check || opts.PodCIDRs[0].String() != "10.233.64.0/18" || len(opts.NodePorts) != 1 {
		t.Errorf("options %+v, %v", opts, err)
	}
	for _, c := range []struct {
		want   string
		change func(*proxyFlags)
	}{
		{"--strict-arp", func(f *proxyFlags) { f.strictARP = "yes" }},
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
