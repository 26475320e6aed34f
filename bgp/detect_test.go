package bgp_test

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bfd/bfdtest"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
)

// watched runs a speaker whose paths are watched by BFD.
func watched(t *testing.T, n *bgptest.Net, path *bfdtest.Host, addr netip.Addr, c bgp.Config) *host {
	t.Helper()
	var server *bgp.Server
	paths, err := bfd.NewServer(bfd.Options{
		Transport: path,
		Handler:   bfd.HandlerFunc(func(c bfd.Change) { server.StateChanged(c) }),
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &host{heard: bgptest.NewRecorder()}
	server, err = bgp.NewServer(bgp.Options{
		Dialer: n.Dialer(addr), Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(addr)}, Handler: h.heard, Detector: paths,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Server = server
	if err := server.SetPeers([]bgp.Config{c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- server.Run(ctx) }()
	go func() { done <- paths.Run(ctx) }()
	h.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(h.stop)
	return h
}

// BFD ends the session within its detection time, and goes before graceful restart; a
// BFD session that is shut by its operator does not.
func TestPathIsWatched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, m := bgptest.NewNet(), bfdtest.NewNet()
		c, d := conf(hostA, hostB), passive(conf(hostB, hostA))
		for _, x := range []*bgp.Config{&c, &d} {
			x.BFD = &bgp.BFD{Profile: bfd.Profile{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond}}
			gracefully(time.Minute, 0)(x)
		}
		pathA, pathB := m.Host(hostA), m.Host(hostB)
		a, b := watched(t, n, pathA, hostA, c), watched(t, n, pathB, hostB, d)
		a.heard.WaitUp(t, hostB.String(), 1)
		pass(5 * time.Second)
		if st := status(t, a); st.BFD == nil || st.BFD.State != bfd.Up || st.BFD.DetectionTime != 150*time.Millisecond {
			t.Fatalf("bfd: %+v", st.BFD)
		}
		c.BFD = nil // the operator of A ends BFD: nothing has failed
		a.SetPeers([]bgp.Config{c})
		pass(5 * time.Second)
		if h := b.heard.Heard(hostA.String()); !h.Up || len(h.Downs) > 0 || status(t, a).BFD != nil {
			t.Errorf("BGP ended with BFD's configuration: %v", h.Story)
		}
		c.BFD = d.BFD
		a.SetPeers([]bgp.Config{c})
		pass(5 * time.Second)
		n.Cut(hostB)
		pathB.Cut()
		cut := time.Now()
		down := a.heard.WaitDown(t, hostB.String(), 1).Downs[0]
		if took := time.Since(cut); down.Cause != bgp.CausePathDown || took > 160*time.Millisecond || len(down.Retain) > 0 {
			t.Errorf("%v after %v, retains %v", down, took, down.Retain)
		}
		b.heard.WaitDown(t, hostA.String(), 1)
		n.Boot(hostB)
		pathB.Mend()
		a.heard.WaitUp(t, hostB.String(), 2)
	})
}

// Two peers on one host share the session that watches the path, and its failure.
func TestPeersShareAPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, m := bgptest.NewNet(), bfdtest.NewNet()
		c, d := conf(hostA, hostB), passive(conf(hostB, hostA))
		for _, x := range []*bgp.Config{&c, &d} {
			x.BFD = &bgp.BFD{Profile: bfd.Profile{ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 50 * time.Millisecond}}
		}
		pathA, pathB := m.Host(hostA), m.Host(hostB)
		a := watched(t, n, pathA, hostA, c)
		watched(t, n, pathB, hostB, d)
		a.heard.WaitUp(t, hostB.String(), 1)
		second := c
		second.Name, second.RemotePort = "second", 1790
		a.SetPeers([]bgp.Config{c, second})
		pass(5 * time.Second)
		for _, st := range a.Status() {
			if st.BFD == nil || st.BFD.State != bfd.Up {
				t.Errorf("%s: bfd %+v", st.Name, st.BFD)
			}
		}
		n.Cut(hostB)
		pathB.Cut()
		if down := a.heard.WaitDown(t, hostB.String(), 1).Downs[0]; down.Cause != bgp.CausePathDown {
			t.Errorf("%v", down)
		}
	})
}

// What is asked of the Detector for peers that are bound to a device: a link-local
// address has a device of its own, and before it is found the peer is as good.
func TestPathsOnDevices(t *testing.T) {
	red := func(edit func(*bgp.Config)) bgp.Config {
		c := conf(hostA, hostB)
		c.Device, c.LocalAddr, c.BFD = "red", netip.Addr{}, new(bgp.BFD)
		edit(&c)
		return c
	}
	numbered := red(func(*bgp.Config) {})
	found := red(func(c *bgp.Config) { c.Name, c.RemoteAddr = "found", netip.MustParseAddr("fe80::2%eth1") })
	unfound := red(func(c *bgp.Config) { c.Name, c.RemoteAddr, c.Interface = "unfound", netip.Addr{}, "eth2" })
	plain := red(func(c *bgp.Config) { c.Name, c.Device = "plain", "" })
	var asked detector
	s, err := bgp.NewServer(bgp.Options{Dialer: bgptest.NewNet().Dialer(hostA), Detector: &asked})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetPeers([]bgp.Config{numbered, found, unfound, plain}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	asked.set = func(list []bfd.Config) {
		for name, want := range map[string]bfd.Config{
			numbered.Name: {Interface: "red", Bound: true}, "found": {Bound: true}, "plain": {},
		} {
			i := slices.IndexFunc(list, func(c bfd.Config) bool { return c.Name == name })
			if i < 0 || list[i].Interface != want.Interface || list[i].Bound != want.Bound || list[i].Validate() != nil {
				t.Errorf("%s: %+v", name, list)
			}
		}
		if len(list) != 3 {
			t.Errorf("%d paths are watched", len(list))
		}
		cancel()
	}
	go func() { done <- s.Run(ctx) }()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, c := range []bgp.Config{red(func(c *bgp.Config) { c.Passive = true }), red(func(c *bgp.Config) {
		c.RemoteAddr, c.RemotePrefix, c.BFD = netip.Addr{}, netip.MustParsePrefix("10.0.0.0/8"), nil
	})} {
		if c.Validate() == nil {
			t.Errorf("a peer that is waited for on a device is valid: %+v", c)
		}
	}
}

// detector is a bgp.Detector that watches nothing.
type detector struct{ set func([]bfd.Config) }

func (d *detector) Set(list []bfd.Config) error {
	d.set(list)
	return nil
}

func (d *detector) Status() []bfd.SessionStatus { return nil }
