package gossip

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/pharoslb/pharos/election"
)

func FuzzClaims(f *testing.F) {
	f.Add([]byte{1})
	f.Add(appendClaim([]byte{1}, election.Claim{Addr: netip.MustParseAddr("192.0.2.1"), Epoch: 7, Node: "n1"}))
	f.Add(appendClaim(appendClaim([]byte{1}, election.Claim{Addr: netip.MustParseAddr("2001:db8::1"), Epoch: 1, Node: "a"}), election.Claim{Addr: netip.MustParseAddr("::"), Node: strings.Repeat("x", 253)}))
	f.Add([]byte{1, 4, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 1, 255, 'x'})
	f.Fuzz(func(t *testing.T, b []byte) {
		out := []byte{claimsVersion}
		decodeClaims(b, func(c election.Claim) { out = appendClaim(out, c) })
		if len(out) > 1 && !bytes.HasPrefix(b, out) {
			t.Errorf("%x was read as %x", b, out)
		}
	})
}

// A node that joins is told who holds what, and what is claimed afterwards reaches all.
func TestClaimsReachAll(t *testing.T) {
	needNamespaces(t)
	early, late := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	n1 := start(t, "n1", 1, is("x"), nil, 2, 3)
	n1.Hold([]netip.Addr{early})
	n2 := start(t, "n2", 2, is("x"), nil, 1, 3)
	n3 := start(t, "n3", 3, is("x"), nil, 1, 2)
	eventually(t, "n1 n2 n3", n1, n2, n3)
	holder := func(n *testNode, a netip.Addr, want string) {
		t.Helper()
		until(t, func() bool { return n.Holder(a) == want }, func() any { return n.opt.Name + " hears " + n.Holder(a) })
	}
	n2.Hold([]netip.Addr{late})
	for _, n := range []*testNode{n1, n2, n3} {
		holder(n, early, "n1")
		holder(n, late, "n2")
	}
	n3.Hold([]netip.Addr{early})
	holder(n1, early, "n3")
	holder(n2, early, "n3")
	if heard := n1.Heard(); len(heard) == 0 || len(n1.Heard()) != 0 {
		t.Errorf("n1 heard of %v", heard)
	}
}

func TestFactsReachAll(t *testing.T) {
	needNamespaces(t)
	n1 := start(t, "n1", 1, is("x"), nil, 2)
	n2 := start(t, "n2", 2, is("x"), nil, 1)
	eventually(t, "n1 n2", n1, n2)
	f := n1.facts
	f.Policy.Sticky = true
	n1.Tell(f)
	until(t, func() bool {
		m := n2.Status().Members
		return len(m) == 2 && m[0].Facts != nil && m[0].Facts.Policy.Sticky
	}, func() any { return n2.Status() })
	until(t, func() bool { return n2.Status().Settled }, func() any { return n2.Status() })
}
