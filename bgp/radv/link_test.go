package radv

import (
	"net/netip"
	"testing"

	"golang.org/x/net/ipv6"
)

// What a socket was queued before it was bound to its interface does not count.
func TestConcerns(t *testing.T) {
	own := netip.MustParseAddr("fe80::1")
	s := state{index: 7, addr: own}
	for _, r := range []struct {
		name string
		cm   *ipv6.ControlMessage
		from string
		want bool
	}{
		{"a neighbor", &ipv6.ControlMessage{IfIndex: 7}, "fe80::2%7", true},
		{"somebody on another link", &ipv6.ControlMessage{IfIndex: 8}, "fe80::2%8", false},
		{"ourselves", &ipv6.ControlMessage{IfIndex: 7}, "fe80::1%7", false},
		{"our address on another link", &ipv6.ControlMessage{IfIndex: 8}, "fe80::1%8", false},
		{"not known where", nil, "fe80::2%7", false},
	} {
		if got := s.concerns(r.cm, netip.MustParseAddr(r.from)); got != r.want {
			t.Errorf("%s: %v", r.name, got)
		}
	}
}
