package bgp_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bfd"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// rack is a template for neighbors of host B.
func rack(name, prefix string) bgp.Config {
	return bgp.Config{
		Name: name, LocalAS: 65002, AnyExternal: true, RouterID: hostB, Families: both,
		RemotePrefix: netip.MustParsePrefix(prefix),
	}
}

// neighbors lists a server's neighbors with their templates.
func neighbors(h *host) string {
	synctest.Wait()
	var out []string
	for _, st := range h.Status() {
		out = append(out, fmt.Sprintf("%s(%s)%v", st.Name, st.Config.Template, st.State))
	}
	return strings.Join(out, " ")
}

// A host belongs to the longest prefix, also when that is configured later, and to
// its own address before any; it comes back by itself.
func TestNeighborChangesItsTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		b := speak(t, n, hostB, true, rack("wide", "192.0.2.0/24"))
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		a.heard.WaitUp(t, hostB.String(), 1)
		fixed := passive(conf(hostB, hostA))
		for i, r := range []struct {
			peers []bgp.Config
			want  string
		}{
			{[]bgp.Config{rack("wide", "192.0.2.0/24"), rack("narrow", "192.0.2.0/30")}, "192.0.2.1(narrow)Established"},
			{[]bgp.Config{rack("wide", "192.0.2.0/24")}, "192.0.2.1(wide)Established"},
			{[]bgp.Config{rack("wide", "192.0.2.0/24"), fixed}, "192.0.2.1()Established"},
			{[]bgp.Config{rack("wide", "192.0.2.0/24")}, "192.0.2.1(wide)Established"},
			{nil, ""},
			{[]bgp.Config{fixed}, "192.0.2.1()Established"},
		} {
			if err := b.SetPeers(r.peers); err != nil {
				t.Fatal(err)
			}
			pass(40 * time.Second)
			if got := neighbors(b); got != r.want {
				t.Errorf("step %d: %s, want %s", i, got, r.want)
			}
		}
	})
}

// What the template says of its neighbors' number and memory leaves their sessions alone.
func TestTemplateLimitsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		c := rack("rack", "192.0.2.0/24")
		b := speak(t, n, hostB, true, c)
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		b.heard.WaitUp(t, hostA.String(), 1)
		c.DynamicLimit, c.DynamicTimeout = 7, 5*time.Second
		b.SetPeers([]bgp.Config{c})
		pass(10 * time.Second)
		if h := b.heard.Heard(hostA.String()); h.Ups != 1 {
			t.Errorf("%d sessions", h.Ups)
		}
		a.stop()
		pass(6 * time.Second)
		if got := neighbors(b); got != "" {
			t.Errorf("left: %s", got)
		}
	})
}

// A neighbor that was refused stays out as long as it keeps trying.
func TestRefusedNeighborStaysOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		b := speak(t, n, hostB, true, rack("rack", "192.0.2.0/24"))
		a := speak(t, n, hostA, false, conf(hostA, hostB))
		b.heard.WaitUp(t, hostA.String(), 1)
		b.Refuse(hostA.String(), &wire.Notification{Code: wire.CodeCease, Subcode: wire.SubCeaseMaxPrefixes})
		pass(10 * time.Minute)
		if h := b.heard.Heard(hostA.String()); h.Ups != 1 {
			t.Errorf("%d sessions", h.Ups)
		}
		b.Reset("", hostA.String())
		b.heard.WaitUp(t, hostA.String(), 2)
		a.stop()
		pass(time.Minute)
		if got := neighbors(b); got != "" {
			t.Errorf("left: %s", got)
		}
	})
}

// The key of a BFD session is in no Status.
func TestBFDKeyStaysSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := conf(hostA, hostB)
		c.BFD = &bgp.BFD{Auth: &bfd.Auth{Type: bfd.AuthMeticulousSHA1, KeyID: 3, Key: "hunter2"}}
		h := speak(t, bgptest.NewNet(), hostA, false, c)
		synctest.Wait()
		if a := status(t, h).Config.BFD.Auth; a == nil || a.Key != "" || a.KeyID != 3 {
			t.Errorf("status has %#v with a key of %d octets", a, len(a.Key))
		}
		if c.BFD.Auth.Key == "" {
			t.Error("the caller's key is gone")
		}
	})
}

// Hosts that find no room do not fill the log.
func TestNeighborsTooManyAreLoggedSparely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := bgptest.NewNet()
		s, err := bgp.NewServer(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(hostB)}, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		c := rack("rack", "192.0.2.0/24")
		c.DynamicLimit = 1
		s.SetPeers([]bgp.Config{c})
		done := make(chan error, 1)
		go func() { done <- s.Run(t.Context()) }()
		t.Cleanup(func() { <-done })
		synctest.Wait()
		for i := range 50 {
			k, err := n.Dial(t.Context(), netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)}), at(hostB))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { k.Close() })
			pass(10 * time.Millisecond)
		}
		if n := strings.Count(log.String(), "bgp neighbor refused"); n != 1 {
			t.Errorf("%d lines in half a second", n)
		}
	})
}
