package layer2

import (
	"net/netip"
	"slices"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func TestLinksFor(t *testing.T) {
	links := []LinkStatus{
		{Name: "eth0", Prefixes: prefixes("192.0.2.0/24", "2001:db8::/64")},
		{Name: "eth1", Prefixes: prefixes("198.51.100.0/24"), IPv6: NoLinkLocal},
		{Name: "eth2", Prefixes: prefixes("192.0.2.0/24", "203.0.113.0/24"), IPv4: NoCarrier, IPv6: NoCarrier},
	}
	for _, r := range []struct {
		addr       string
		interfaces []string
		want       []string
		reach      Reach
	}{
		{"192.0.2.7", nil, []string{"eth0"}, OnSubnet},
		{"192.0.2.7", []string{"eth1"}, []string{"eth1"}, OffSubnet},
		{"192.0.2.7", []string{"eth2", "eth3"}, nil, Unreachable},
		{"203.0.113.1", nil, []string{"eth0", "eth1"}, OffSubnet}, // its own link has no carrier
		{"10.0.0.1", nil, []string{"eth0", "eth1"}, OffSubnet},
		{"10.0.0.1", []string{"eth1"}, []string{"eth1"}, OffSubnet},
		{"2001:db8::7", nil, []string{"eth0"}, OnSubnet},
		{"2001:db8:1::7", nil, []string{"eth0"}, OffSubnet},
		{"2001:db8:1::7", []string{"eth1"}, nil, Unreachable},
	} {
		a := Announcement{Addr: netip.MustParseAddr(r.addr), Interfaces: r.interfaces}
		got, reach := LinksFor(links, a)
		var names []string
		for _, l := range got {
			names = append(names, l.Name)
		}
		if !slices.Equal(names, r.want) || reach != r.reach || ReachOf(links, a) != reach {
			t.Errorf("%s on %v: %v, %v; want %v, %v", r.addr, r.interfaces, names, reach, r.want, r.reach)
		}
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[string]string{
		Usable.String(): "usable", Failed.String(): "failed", LinkState(77).String(): "state 77",
		OnSubnet.String(): "on-subnet", Reach(9).String(): "reach 9",
		MAC{2, 0, 0x5e, 0x10, 0, 1}.String(): "02:00:5e:10:00:01",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
