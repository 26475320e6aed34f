package bfdudp_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdudp"
	"github.com/pharoslb/pharos/internal/linux/netns"
)

// bound binds a session to a device.
func bound(name, device string) func(*bfd.Config) {
	return func(c *bfd.Config) { c.Name, c.Interface, c.Bound = name, device, true }
}

// Sessions that are bound to a device, and ones that are not, with peers of one
// address on two cables: none hears of the other's packets.
func TestBoundToDevices(t *testing.T) {
	families(t, func(t *testing.T, v6 bool) {
		a, b := hosts(t, false)
		ns, err := netns.New("twin")
		must(t, err)
		t.Cleanup(func() { ns.Close() })
		must(t, ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"), netns.Veth(a.NS, "eth1", ns, "eth0"))
		twin := host{ns, b.v4, b.v6}
		bits := map[bool]int{false: 24, true: 64}[v6]
		own := netip.MustParseAddr("192.0.2.9")
		if v6 {
			own = netip.MustParseAddr("2001:db8:0:2::9")
		}
		must(t, ns.AddAddr("eth0", netip.PrefixFrom(twin.addr(v6), bits)), a.AddAddr("eth1", netip.PrefixFrom(own, bits)))

		x := start(t, a, config(b.addr(v6), bound("b", "eth0")), config(b.addr(v6), bound("twin", "eth1")))
		y := start(t, b, config(a.addr(v6)))
		z := start(t, twin, config(own))
		y.WaitState(t, "x", bfd.Up)
		z.WaitState(t, "x", bfd.Up)
		x.WaitState(t, "b", bfd.Up)
		x.WaitState(t, "twin", bfd.Up)

		// Bound no more: the sockets of all devices take over, and the other session
		// goes on.
		x.set(config(b.addr(v6), func(c *bfd.Config) { c.Name = "b" }), config(b.addr(v6), bound("twin", "eth1")))
		must(t, ns.Down("eth0"))
		x.WaitState(t, "twin", bfd.Down)
		eventually(t, func() error {
			if st := x.status("b"); st.State != bfd.Up || st.Config.Bound {
				return fmt.Errorf("%+v", st)
			}
			return nil
		})
		if st := x.status("b"); st.LastDown.Reason == bfd.ReasonDetectionExpired {
			t.Errorf("%+v", st)
		}
	})
}

// The sockets of a device go with the last session that needs them, and while they are
// there, other daemons are as little let in as ever.
func TestBoundSocketsGoWithTheirSessions(t *testing.T) {
	a, b := hosts(t, false)
	x := a.open(t)
	sockets := func() (n int) {
		t.Helper()
		list, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		for _, e := range list {
			if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
				n++
			}
		}
		return n
	}
	before := sockets()
	path := bfd.Path{Remote: b.v4, Interface: "eth0", Bound: true}
	one, err := x.Open(path)
	must(t, err)
	path.Multihop = true
	two, err := x.Open(path)
	must(t, err)
	if n := sockets() - before; n != 4+2 {
		t.Errorf("two sessions on one device have %d sockets", n)
	}
	taken := func() {
		t.Helper()
		if err := a.Do(func() error {
			_, err := bfdudp.Open()
			return err
		}); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("another daemon: %v", err)
		}
	}
	taken()
	must(t, one.Close())
	if n := sockets() - before; n != 4+1 {
		t.Errorf("one session on a device has %d sockets", n)
	}
	must(t, two.Close())
	if n := sockets() - before; n != 0 {
		t.Errorf("no session has %d sockets", n)
	}
	taken()
	if _, err := x.Open(bfd.Path{Remote: b.v4, Interface: "red", Bound: true}); err == nil || !strings.Contains(err.Error(), "red") {
		t.Errorf("no such device: %v", err)
	}
}
