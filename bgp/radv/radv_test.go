package radv_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/bgp/radv"
	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

// host is a namespace with a Finder.
type host struct {
	*netns.NS
	*radv.Finder
	stop func()
}

func newHost(t *testing.T, name string, interfaces ...string) *host {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := ns.Sysctl("net.ipv6.conf.default.accept_dad", "0"); err != nil {
		t.Fatal(err)
	}
	f, err := radv.New(radv.Options{Do: ns.Do, Interval: 4 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	f.Set(interfaces)
	h := &host{NS: ns, Finder: f}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	h.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		done <- nil
	}
	t.Cleanup(h.stop)
	return h
}

// wait waits for a neighbor on an interface; not valid: nobody.
func (h *host) wait(t *testing.T, device string, want netip.Addr) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		got := h.Neighbors()[device]
		if got == want {
			return
		}
		select {
		case <-h.Changed():
		case <-late:
			t.Fatalf("%s: neighbor on %s is %v, want %v", h.Name(), device, got, want)
		}
	}
}

func (h *host) addrs(t *testing.T, device string) (out []netlink.Addr) {
	t.Helper()
	l, err := h.Link().LinkByName(device)
	if err != nil {
		t.Fatal(err)
	}
	all, err := h.Link().AddrList(l, unix.AF_INET6)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.IP.IsLinkLocalUnicast() {
			out = append(out, a)
		}
	}
	return out
}

// own waits for a device's link-local address.
func (h *host) own(t *testing.T, device string) netip.Addr {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		if a := h.addrs(t, device); len(a) > 0 {
			ip, _ := netip.AddrFromSlice(a[0].IP)
			return ip
		}
		<-tick.C
	}
	t.Fatalf("%s: %s has no link-local address", h.Name(), device)
	return netip.Addr{}
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Two of ours find each other on two cables, and on no other interface; cables are
// cut, healed, taken away and put back; addresses change.
func TestTwoFindEachOther(t *testing.T) {
	// No interface is there when they begin to look.
	a, b := newHost(t, "a", "eth0", "eth1"), newHost(t, "b", "eth0", "eth1")
	must(t, netns.Veth(a.NS, "eth0", b.NS, "eth0"), netns.Veth(a.NS, "eth1", b.NS, "eth1"), netns.Veth(a.NS, "eth2", b.NS, "eth2"))
	none := netip.Addr{}
	for _, device := range []string{"eth0", "eth1"} {
		a.wait(t, device, b.own(t, device))
		b.wait(t, device, a.own(t, device))
	}

	must(t, b.Down("eth0"))
	a.wait(t, "eth0", none)
	b.wait(t, "eth0", none)
	must(t, b.Up("eth0"))
	a.wait(t, "eth0", b.own(t, "eth0"))
	b.wait(t, "eth0", a.own(t, "eth0"))

	// Back under the old name, with another number and another address.
	must(t, b.Delete("eth0"))
	a.wait(t, "eth0", none)
	must(t, netns.Veth(a.NS, "eth0", b.NS, "eth0"))
	a.wait(t, "eth0", b.own(t, "eth0"))
	b.wait(t, "eth0", a.own(t, "eth0"))

	// The address changes while the link stays up.
	l, err := b.Link().LinkByName("eth1")
	must(t, err)
	for _, x := range b.addrs(t, "eth1") {
		must(t, b.Link().AddrDel(l, &x))
	}
	fresh := netip.MustParseAddr("fe80::b")
	must(t, b.AddAddr("eth1", netip.PrefixFrom(fresh, 64)))
	a.wait(t, "eth1", fresh)
	b.wait(t, "eth1", a.own(t, "eth1"))

	a.Set([]string{"eth1"})
	a.wait(t, "eth0", none)
	a.wait(t, "eth1", fresh)
	if n := a.Neighbors(); len(n) != 1 {
		t.Errorf("neighbors: %v", n)
	}
	a.Set([]string{"eth1", "eth2"})
	b.Set([]string{"eth2"})
	a.wait(t, "eth2", b.own(t, "eth2"))

	a.stop()
	if n := a.Neighbors(); len(n) != 0 {
		t.Errorf("after the end: %v", n)
	}
}

// Our advertisements make nobody's default route.
func TestNoDefaultRoute(t *testing.T) {
	a, b := newHost(t, "a", "eth0"), newHost(t, "b", "eth0")
	must(t, b.Sysctl("net.ipv6.conf.default.accept_ra", "2"), netns.Veth(a.NS, "eth0", b.NS, "eth0"))
	b.wait(t, "eth0", a.own(t, "eth0"))
	routes, err := b.Link().RouteList(nil, unix.AF_INET6)
	must(t, err)
	for _, r := range routes {
		if r.Gw != nil {
			t.Errorf("route %v", r)
		}
	}
}

func TestOptions(t *testing.T) {
	for d, ok := range map[time.Duration]bool{0: true, 4 * time.Second: true, 1800 * time.Second: true, time.Second: false, time.Hour: false, -1: false} {
		if _, err := radv.New(radv.Options{Interval: d}); (err == nil) != ok {
			t.Error(fmt.Sprint(d), err)
		}
	}
}
