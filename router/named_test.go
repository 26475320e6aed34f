package router

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// Neighbors are called by name or by address, however they came to theirs.
func TestNeighborsAreCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		defer b.finish()
		c := dynamicConfig()
		link := neighbor(0)
		link.Addr, link.Interface, link.AS, link.AnyExternal = netip.Addr{}, "eth7", 0, true
		c.Neighbors = append(c.Neighbors, link)
		b.reconfigure(c)
		b.admitted(113)
		b.speaker.handler.Established("eth7", bgp.SessionStatus{
			RemoteAS: 65077, RemoteID: netip.MustParseAddr("7.7.7.7"), RemoteAddr: netip.MustParseAddrPort("[fe80::7%eth7]:179"),
		})
		b.later(0)
		if up := b.Status().Up; !slices.Equal(up, []string{"Ethernet1-1"}) {
			t.Errorf("devices that are up: %q", up)
		}
		for called, want := range map[string][]string{
			"10.10.2.112": {"10.10.2.112"}, "10.10.2.113": {"10.10.2.113"}, "10.10.2.114": nil, "10.10.2.0/24": {"10.10.2.113"},
			"eth7": {"eth7"}, "fe80::7": {"eth7"}, "fe80::7%eth7": {"eth7"}, "": {"10.10.2.112", "eth7", "10.10.2.113"},
		} {
			if ok := b.Clear(called); ok != (want != nil) || !slices.Equal(b.speaker.resets(), want) {
				t.Errorf("%q was not what was cleared", called)
			}
			var soft []string
			for _, name := range want {
				soft = append(soft, "refresh IPv4 unicast "+name)
			}
			if ok := b.ClearSoft(called, wire.IPv4Unicast); ok != (want != nil) {
				t.Errorf("%q is not known", called)
			} else if got := b.speaker.resets(); !slices.Equal(got, soft) {
				t.Errorf("%q: %q", called, got)
			}
		}
		b.locked(func() {
			if v, _ := b.tables[wire.IPv4Unicast].Source("eth7"); v.AS != 65077 || v.Internal || v.Addr.String() != "fe80::7%eth7" {
				t.Errorf("a neighbor of any AS: %+v", v)
			}
		})
	})
}
