package bgp_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
)

// keyed is a Dialer whose connections take keys, or refuse to.
type keyed struct {
	bgp.Dialer
	mu    sync.Mutex
	fail  error
	taken []uint8 // SendIDs of the last change
}

type keyedConn struct {
	*bgptest.Conn
	of *keyed
}

func (k *keyed) Dial(ctx context.Context, c bgp.Config) (net.Conn, error) {
	nc, err := k.Dialer.Dial(ctx, c)
	if err != nil {
		return nil, err
	}
	return keyedConn{nc.(*bgptest.Conn), k}, nil
}

func (c keyedConn) SetKeys(cfg bgp.Config) error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.of.fail != nil {
		return c.of.fail
	}
	c.of.taken = nil
	for _, k := range cfg.AO {
		c.of.taken = append(c.of.taken, k.SendID)
	}
	return nil
}

// A change of TCP-AO keys alone leaves the session up, if its connection can
// follow.
func TestKeysChangeUnderTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		passive := conf(hostB, hostA)
		passive.Passive = true
		speak(t, n, hostB, true, passive)
		keys := func(ids ...uint8) bgp.Config {
			c := conf(hostA, hostB)
			for _, id := range ids {
				c.AO = append(c.AO, bgp.AOKey{SendID: id, RecvID: id, Secret: "s"})
			}
			return c
		}
		d := &keyed{Dialer: n.Dialer(hostA)}
		heard := bgptest.NewRecorder()
		s, err := bgp.NewServer(bgp.Options{Dialer: d, Handler: heard})
		if err != nil {
			t.Fatal(err)
		}
		set := func(c bgp.Config) {
			t.Helper()
			if err := s.SetPeers([]bgp.Config{c}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		set(keys(1))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		defer func() { cancel(); <-done }()
		name := hostB.String()
		heard.WaitUp(t, name, 1)

		set(keys(2, 1))
		if len(d.taken) != 2 || d.taken[0] != 2 {
			t.Errorf("the connection was given %v", d.taken)
		}
		set(keys(2))
		if h := heard.Heard(name); !h.Up || h.Ups != 1 || len(d.taken) != 1 {
			t.Fatalf("keys changed, and the session with them: %v", h.Story)
		}
		if got := s.Status()[0].Config.AO; len(got) != 1 || got[0].SendID != 2 {
			t.Errorf("status has %v", got)
		}
		// More than keys.
		c := keys(2)
		hold := 30 * time.Second
		c.HoldTime = &hold
		set(c)
		heard.WaitUp(t, name, 2)
		// A connection that cannot follow.
		d.fail = errors.New("no")
		c.AO[0].SendID = 3
		set(c)
		heard.WaitUp(t, name, 3)
		// From signed to unsigned there is no way.
		d.fail = nil
		c.AO = nil
		set(c)
		if h := heard.WaitUp(t, name, 4); h.Downs[2].Cause != bgp.CauseConfigChange {
			t.Errorf("ended with %v", h.Downs[2])
		}
	})
}

// An unnumbered peer waits for its neighbor and keeps what it shall be sent.
func TestUnnumberedPeerWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		ll := netip.MustParseAddr("fe80::2%eth0")
		far := conf(hostB, hostA)
		far.LocalAddr, far.RemoteAddr, far.Passive = netip.Addr{}, netip.MustParseAddr("fe80::1%eth0"), true
		b := speak(t, n, ll, true, far)
		c := conf(hostA, hostB)
		c.LocalAddr, c.RemoteAddr, c.Interface = netip.Addr{}, netip.Addr{}, "eth0"
		a := speak(t, n, netip.MustParseAddr("fe80::1%eth0"), false, c)
		announce(a, hostB, &bgp.Attrs{}, "2001:db8:100::1/128")
		pass(time.Minute)
		if st := status(t, a); st.State != bgp.Active || st.Desired != 1 {
			t.Errorf("state %v, %d desired", st.State, st.Desired)
		}
		peers := bgp.Resolve([]bgp.Config{c}, map[string]netip.Addr{"eth0": ll})
		if err := a.SetPeers(peers); err != nil {
			t.Fatal(err)
		}
		b.heard.WaitRoutes(t, hostA.String(), "2001:db8:100::1/128")
		if err := a.SetPeers([]bgp.Config{c}); err != nil {
			t.Fatal(err)
		}
		b.heard.WaitDown(t, hostA.String(), 1)
	})
}
