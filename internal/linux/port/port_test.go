package port

import (
	"context"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos/internal/linux/netns"
	"github.com/pharoslb/pharos/internal/linux/sandbox"
	"github.com/pharoslb/pharos/rib"
)

func TestMain(m *testing.M) { os.Exit(sandbox.Main(m.Run)) }

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// newSwitch is a namespace with a device by convention and one with an alias.
func newSwitch(t *testing.T) (ns, peer *netns.NS, p *Ports) {
	t.Helper()
	if err := sandbox.Probe(); err != nil {
		t.Skip(err)
	}
	ns, err := netns.New("switch")
	must(t, err)
	peer, err = netns.New("peer")
	must(t, err)
	must(t, netns.Veth(ns, "Ethernet1-1", peer, "eth0"), netns.Veth(ns, "nic2", peer, "eth1"), ns.Down("nic2"))
	_, err = ns.Output(t.Context(), "ip", "link", "set", "nic2", "alias", "Ethernet1/2")
	must(t, err)
	must(t, ns.Do(func() (err error) { p, err = Open(); return err }))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		ns.Close()
		peer.Close()
	})
	return ns, peer, p
}

// eventually waits for the connected networks to be these, link-local ones aside.
func eventually(t *testing.T, p *Ports, want ...string) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		nets, err := p.Connected()
		must(t, err)
		var got []string
		for _, n := range nets {
			if !n.Prefix.Addr().IsLinkLocalUnicast() {
				got = append(got, n.Device+" "+n.Prefix.String())
			}
		}
		slices.Sort(got)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-p.Changed():
		case <-deadline:
			t.Fatalf("connected are %q, want %q", got, want)
		}
	}
}

// Neighbors that are known by interface and link-local address are found on it.
func TestLinkLocalNetworks(t *testing.T) {
	ns, _, p := newSwitch(t)
	must(t, p.Apply([]Port{{Name: "Ethernet1/1"}}), ns.AddAddr("Ethernet1-1", netip.MustParsePrefix("fe80::210/64")))
	deadline := time.After(10 * time.Second)
	for {
		nets, err := p.Connected()
		must(t, err)
		if c, ok := rib.NewNetworks(nets).Find(netip.MustParseAddr("fe80::112%Ethernet1-1")); ok && c.Device == "Ethernet1-1" {
			break
		}
		select {
		case <-p.Changed():
		case <-deadline:
			t.Fatalf("connected are %v", nets)
		}
	}
}

func TestApply(t *testing.T) {
	ns, peer, p := newSwitch(t)
	must(t, ns.AddAddr("Ethernet1-1", netip.MustParsePrefix("198.51.100.1/24")))
	ports := []Port{
		{Name: "Ethernet1/1", Addrs: []netip.Prefix{netip.MustParsePrefix("10.10.2.210/24"), netip.MustParsePrefix("2001:db8::210/64")}},
		{Name: "Ethernet1/2", Addrs: []netip.Prefix{netip.MustParsePrefix("172.16.100.210/24")}},
	}
	lo := []string{"lo 127.0.0.1/32", "lo ::1/128"}
	for range 2 { // the second time nothing is to be done
		must(t, p.Apply(ports))
		eventually(t, p, append([]string{"Ethernet1-1 10.10.2.210/24", "Ethernet1-1 198.51.100.1/24", "Ethernet1-1 2001:db8::210/64"},
			append(lo, "nic2 172.16.100.210/24")...)...)
	}
	if d, err := p.Device(Port{Name: "Ethernet1/2"}); d != "nic2" || err != nil {
		t.Errorf("Ethernet1/2 is %q, %v", d, err)
	}

	// Another address, and the other port shut; the foreign address stays.
	ports[0].Addrs = []netip.Prefix{netip.MustParsePrefix("10.10.2.211/24")}
	ports[1].Shutdown = true
	must(t, p.Apply(ports))
	eventually(t, p, append([]string{"Ethernet1-1 10.10.2.211/24", "Ethernet1-1 198.51.100.1/24"}, lo...)...)

	// A cut cable takes the networks away, and brings them back.
	must(t, peer.Down("eth0"))
	eventually(t, p, lo...)
	must(t, peer.Up("eth0"))
	eventually(t, p, append([]string{"Ethernet1-1 10.10.2.211/24", "Ethernet1-1 198.51.100.1/24"}, lo...)...)

	must(t, p.Apply(nil))
	eventually(t, p, append([]string{"Ethernet1-1 198.51.100.1/24"}, lo...)...)
}

func TestMissingDevice(t *testing.T) {
	_, _, p := newSwitch(t)
	addr := []netip.Prefix{netip.MustParsePrefix("10.10.2.210/24")}
	err := p.Apply([]Port{{Name: "Ethernet1/9", Addrs: addr}, {Name: "Ethernet1/1", Addrs: addr}, {Name: "Ethernet1/2", Device: "gone"}})
	if err == nil || !strings.Contains(err.Error(), "there is no device Ethernet1-9: name one with --interface Ethernet1/9=DEVICE") ||
		!strings.Contains(err.Error(), "no device gone") {
		t.Errorf("error %v", err)
	}
	eventually(t, p, "Ethernet1-1 10.10.2.210/24", "lo 127.0.0.1/32", "lo ::1/128")
}
