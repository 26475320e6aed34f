package bgptcp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// Two hosts have the same address, on two cables: the device says which one is meant,
// as that of a VRF would.
func TestSessionsAreBoundToDevices(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		ns, err := netns.New("twin")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		twin := end{ns, b.v4, b.v6}
		if err := ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
			t.Fatal(err)
		}
		if err := netns.Veth(a.NS, "eth1", ns, "eth0"); err != nil {
			t.Fatal(err)
		}
		bits := map[bool]int{true: 24, false: 64}[v4]
		for _, err := range []error{
			ns.AddAddr("eth0", netip.PrefixFrom(twin.addr(v4), bits)),
			a.AddAddr("eth1", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, 9}), 24)),
			a.AddAddr("eth1", netip.PrefixFrom(netip.MustParseAddr("2001:db8::9"), 64)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		_, atB := listen(t, b, v4)
		_, atTwin := listen(t, twin, v4)
		for range 3 {
			c.Device, c.LocalAddr = "eth1", netip.Addr{}
			if _, err := dial(t, a, c, never); err != nil {
				t.Fatal(err)
			}
			(<-atTwin).Close()
			c.Device = "eth0"
			if _, err := dial(t, a, c, never); err != nil {
				t.Fatal(err)
			}
			(<-atB).Close()
		}
	})
}

// What the host lacks is told by name.
func TestMissingDevicesAndAddresses(t *testing.T) {
	eachFamily(t, func(t *testing.T, a, b end, v4 bool, c bgp.Config) {
		c.Device = "red"
		if _, err := dial(t, a, c, never); !errors.Is(err, syscall.ENODEV) || !strings.Contains(err.Error(), `this host has no network device "red"`) {
			t.Errorf("no device: %v", err)
		}
		c.Device, c.LocalAddr = "", b.addr(v4)
		if _, err := dial(t, a, c, never); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("source address %v is none of this host's", b.addr(v4))) {
			t.Errorf("another's address: %v", err)
		}
		c.Device = "eth0"
		if _, err := dial(t, a, c, never); err == nil || !strings.Contains(err.Error(), `none of this host's on device "eth0"`) {
			t.Errorf("another's address, bound: %v", err)
		}
	})
}
