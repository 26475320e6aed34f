package bgp_test

import (
	"bytes"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/bgptest"
	"github.com/pharoslb/pharos/bgp/wire"
)

// pathsHeard is a Handler that remembers prefixes with their path identifiers.
type pathsHeard struct {
	*bgptest.Recorder
	mu   sync.Mutex
	list []wire.Update
}

func (h *pathsHeard) Update(peer string, u *wire.Update) {
	h.mu.Lock()
	h.list = append(h.list, *u)
	h.mu.Unlock()
	h.Recorder.Update(peer, u)
}

// listen runs a speaker on host A that only listens to host B.
func listen(t *testing.T, n *bgptest.Net, h bgp.Handler, log *slog.Logger, edit ...func(*bgp.Config)) *bgp.Server {
	t.Helper()
	s, err := bgp.NewServer(bgp.Options{Listener: n.Listen, ListenAddrs: []netip.AddrPort{at(hostA)}, Handler: h, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c := conf(hostA, hostB)
	for _, f := range edit {
		f(&c)
	}
	if err := s.SetPeers([]bgp.Config{c}); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	t.Cleanup(func() { <-done })
	synctest.Wait()
	return s
}

// Routes through ourselves become withdrawals of the very paths.
func TestPathsThroughOurselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		h := &pathsHeard{Recorder: bgptest.NewRecorder()}
		listen(t, n, h, nil, func(c *bgp.Config) { c.AddPath = wire.AddPathReceive })
		s := bgptest.Connect(t, n, hostB, at(hostA))
		s.Establish(openB(offer(wire.AddPath(wire.AddPathFamily{Family: wire.IPv4Unicast, Mode: wire.AddPathSend}))))
		e := wire.Encoder{Session: wire.Session{AS4: true, Families: both, AddPathSend: both[:1]}}
		attrs := &wire.Attrs{ASPath: wire.Sequence(65002), NextHop: hostA, NextHop6: netip.MustParseAddr("2001:db8::2")}
		octets, _, err := e.AppendReach(nil, attrs, bgptest.Prefixes("198.51.100.1/32", "198.51.100.2/32"), []uint32{7, 8})
		if err != nil {
			t.Fatal(err)
		}
		s.Send(octets)
		synctest.Wait()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.list) != 1 || len(h.list[0].NLRI)+len(h.list[0].NLRIPaths) != 0 || !slices.Equal(h.list[0].WithdrawnPaths, []uint32{7, 8}) {
			t.Errorf("heard %+v", h.list)
		}
		s.Conn.Close()
	})
}

// The answer of a peer with graceful restart to a refresh counts after its End-of-RIB
// (RFC 7313 §4), and an end counts after a beginning.
func TestRefreshBeforeEndOfRIB(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := bgptest.NewNet()
		h := bgptest.NewRecorder()
		listen(t, n, h, nil)
		s := bgptest.Connect(t, n, hostB, at(hostA))
		s.Establish(openB(offer(wire.EnhancedRouteRefresh()), restarter()))
		mark := func(subtype uint8) {
			s.Send(wire.AppendRouteRefresh(nil, wire.RouteRefresh{Family: wire.IPv4Unicast, Subtype: subtype}))
		}
		mark(wire.RefreshBegin)
		mark(wire.RefreshEnd)
		s.Send(wire.AppendEndOfRIB(nil, wire.IPv4Unicast))
		mark(wire.RefreshEnd)
		mark(wire.RefreshBegin)
		mark(wire.RefreshEnd)
		mark(wire.RefreshEnd)
		synctest.Wait()
		want := "up, end of rib IPv4 unicast, refresh begins IPv4 unicast, refresh ends IPv4 unicast"
		if got := strings.Join(h.Heard(hostB.String()).Story, ", "); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
		s.Conn.Close()
	})
}

// A peer does not fill the log with its mistakes.
func TestMalformedUpdatesAreLoggedSparely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := bgptest.NewNet()
		listen(t, n, nil, slog.New(slog.NewTextHandler(&log, nil)))
		s := bgptest.Connect(t, n, hostB, at(hostA))
		s.Establish(openB())
		for range 100 {
			for _, attrs := range []string{"40010103 40020602010000fdea 400304c0000202", "40010100 40020602010000fde8 400304c0000202"} {
				a := bgptest.Hex(t, attrs)
				body := append([]byte{0, 0, 0, byte(len(a))}, a...)
				body = append(body, 0x20, 10, 64, 0, 1)
				s.Send(append(bgptest.Hex(t, bgptest.Marker), append([]byte{0, byte(19 + len(body)), 2}, body...)...))
			}
			s.Keepalive()
			pass(20 * time.Millisecond)
		}
		synctest.Wait()
		s.Conn.Close()
		synctest.Wait()
		if lines := strings.Count(log.String(), "bgp update malformed"); lines == 0 || lines > 3 {
			t.Errorf("%d lines in two seconds", lines)
		}
	})
}

// Nor with the ways in which it fails.
func TestFailuresAreLoggedSparely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := bgptest.NewNet()
		listen(t, n, nil, slog.New(slog.NewTextHandler(&log, nil)))
		for i := range 100 {
			s := bgptest.Connect(t, n, hostB, at(hostA))
			if s.ExpectOpen(); i%2 == 0 {
				s.Conn.(*bgptest.Conn).Reset()
			}
			s.Conn.Close()
			pass(20 * time.Millisecond)
		}
		synctest.Wait()
		if lines := strings.Count(log.String(), "bgp session not established"); lines == 0 || lines > 3 {
			t.Errorf("%d lines in two seconds", lines)
		}
	})
}
