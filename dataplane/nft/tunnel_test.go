package nft_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// behindGateway is a node whose siblings are on another segment, and its State with
// a direct Service and one that isn't.
func behindGateway(t *testing.T) (*node, *dataplane.State) {
	n := directNode(t)
	n.add("plain", 2, 2, func(s *pharos.Service) { s.Mode = pharos.NAT })
	for _, args := range [][]string{
		{"link", "add", "uplink", "type", "veth", "peer", "name", "switch"},
		{"link", "set", "switch", "up"}, {"link", "set", "uplink", "up"},
		{"addr", "add", "192.0.2.1/24", "dev", "uplink"}, {"addr", "add", "2001:db8::1/64", "dev", "uplink", "nodad"},
		{"route", "add", "default", "via", "192.0.2.254"}, {"-6", "route", "add", "default", "via", "2001:db8::254"},
	} {
		n.ip(args...)
	}
	state := n.state()
	state.Node.Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	return n, state
}

func (n *node) ip(args ...string) string {
	n.t.Helper()
	out, err := n.ns.Output(context.Background(), "ip", args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return out
}

// A tunnel that can't be made costs the ways through it and nothing else, is told,
// and is made as soon as it can be.
func TestTunnelThatCannotBeMade(t *testing.T) {
	n, state := behindGateway(t)
	n.ip("link", "add", "pharos4", "type", "bridge")
	if err := n.driver.Apply(context.Background(), state); err != nil {
		t.Fatal(err)
	}
	if got := n.driver.Status().Degraded; !strings.Contains(got, "1 nodes on other segments are not reached: device pharos4 is somebody else's") {
		t.Errorf("the status tells %q", got)
	}
	for _, want := range [][]string{
		{"ip", "pharos", "frontends", "172.19.0.2 . tcp . 80"},
		{"ip", "pharos-direct", "frontends", "172.19.0.1 . tcp . 80"},
		{"netdev", "pharos-direct6", "nodes", "fe80::"},
	} {
		kind := "set"
		if want[2] == "nodes" {
			kind = "map"
		}
		if got := n.nft("list", kind, want[0], want[1], want[2]); !strings.Contains(got, want[3]) {
			t.Errorf("%v is not there:\n%s", want, got)
		}
	}
	if got := n.nft("list", "map", "netdev", "pharos-direct", "nodes"); strings.Contains(got, "elements") {
		t.Errorf("there is a way to nodes that have none:\n%s", got)
	}

	n.ip("link", "delete", "pharos4")
	if _, err := n.driver.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := n.driver.Status().Degraded; got != "" {
		t.Errorf("with the tunnel there, the status tells %q", got)
	}
	if got := n.nft("list", "map", "netdev", "pharos-direct", "nodes"); !strings.Contains(got, "169.254.112.") {
		t.Errorf("with the tunnel there, no way:\n%s", got)
	}
}

// Somebody else's device by a tunnel's name is in the way only where a tunnel is
// needed, and is never touched.
func TestForeignDeviceIsLeftAlone(t *testing.T) {
	n := directNode(t)
	n.ip("link", "add", "pharos4", "type", "bridge")
	n.apply()
	if got := n.driver.Status().Degraded; got != "" {
		t.Errorf("the status tells %q", got)
	}
	if err := n.driver.Remove(context.Background()); err != nil {
		t.Fatal(err)
	}
	n.ip("link", "show", "pharos4")
}

// A sibling is sent packets only once those that it sends are told from clients': so
// nodes whose tables differ can't send a packet to and fro.
func TestSiblingIsNoWayUntilItIsKnown(t *testing.T) {
	n, state := behindGateway(t)
	state.Siblings[0].Addresses = []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::2")}
	if err := n.driver.Apply(context.Background(), state); err != nil {
		t.Fatal(err)
	}
	is := func(present bool, kind, table, name, element string) {
		t.Helper()
		if got := n.nft("list", kind, "netdev", table, name); strings.Contains(got, element) != present {
			t.Errorf("%s is there: %v, want %v:\n%s", element, !present, present, got)
		}
	}
	is(false, "set", "pharos-direct", "siblings", "elements")
	is(false, "map", "pharos-direct", "nodes", "elements")
	is(false, "map", "pharos-direct6", "nodes", "elements")

	n.ip("neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "uplink", "nud", "permanent")
	if _, err := n.driver.Verify(context.Background()); err != nil {
		t.Fatal(err)
	}
	is(true, "set", "pharos-direct", "siblings", "02:00:00:00:00:02")
	is(true, "map", "pharos-direct", "nodes", "192.0.2.2")
	is(false, "map", "pharos-direct6", "nodes", "elements")
}
