package lab

import (
	"strings"
	"testing"
)

// What the lab's options ask for is what the DaemonSet's args say.
func TestProxyCommand(t *testing.T) {
	plan := Walkthrough()
	for _, c := range []struct {
		opts Options
		want string
	}{
		{Options{}, "sed s/api-server.invalid/10.10.2.100/ deploy"},
		{Options{DataPlane: "auto", Mode: "nat"}, "sed s/api-server.invalid/10.10.2.100/ deploy"},
		{Options{DataPlane: "nft", Mode: "direct"}, "sed -e s/api-server.invalid/10.10.2.100/ -e s/--dataplane=auto/--dataplane=nft/ -e s/--mode=nat/--mode=direct/ deploy"},
		{Options{KubeProxy: "nftables"}, "-e s/--beside-kube-proxy=false/--beside-kube-proxy=true/ deploy"},
	} {
		c.opts.Topology = &plan
		if got := (&Lab{opts: c.opts}).ProxyCommand(); !strings.Contains(got, c.want) {
			t.Errorf("%+v: %s", c.opts, got)
		}
	}
}
