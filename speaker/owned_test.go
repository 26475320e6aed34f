package speaker

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bfd"
)

// What a peer may be sent is what the advertisements that go to it can make of the
// pools, and no more.
func TestOwned(t *testing.T) {
	rng := func(first, last string) pharos.Range { return pharos.Range{First: addr(first), Last: addr(last)} }
	cfg := &pharos.Config{
		Pools: []pharos.Pool{
			{Name: "a", Ranges: []pharos.Range{rng("172.19.100.10", "172.19.100.17"), rng("fd00::", "fd00::ff")}},
			{Name: "b", Ranges: []pharos.Range{rng("10.0.0.0", "10.0.0.255")}},
			{Name: "c", Ranges: []pharos.Range{rng("192.168.7.0", "192.168.7.255")}},
		},
		Advertisements: []pharos.Advertisement{
			{Name: "1", Mode: pharos.BGP, Pools: []string{"a"}, AggregationLength: 32, AggregationLengthV6: 120},
			{Name: "2", Mode: pharos.BGP, Pools: []string{"b"}, Peers: []string{"tor2"}, AggregationLength: 24, AggregationLengthV6: 128},
			{Name: "3", Mode: pharos.Layer2, Pools: []string{"c"}},
			{Name: "4", Mode: pharos.BGP, Pools: []string{"a"}, Peers: []string{"tor3"}, AggregationLength: 28, AggregationLengthV6: 128},
		},
	}
	for peer, want := range map[string]string{
		"tor1": "172.19.100.10/31 172.19.100.12/30 172.19.100.16/31 fd00::/120",
		"tor2": "172.19.100.10/31 172.19.100.12/30 172.19.100.16/31 fd00::/120 10.0.0.0/24",
		"tor3": "172.19.100.10/31 172.19.100.12/30 172.19.100.16/31 fd00::/120 172.19.100.0/27 fd00::/120",
	} {
		if got := strings.Trim(fmt.Sprint(owned(cfg, &pharos.Peer{Name: peer})), "[]"); got != want {
			t.Errorf("%s may be sent %s, want %s", peer, got, want)
		}
	}
	if got := owned(&pharos.Config{}, &pharos.Peer{Name: "tor1"}); got == nil || len(got) > 0 {
		t.Errorf("without advertisements: %#v, want nothing rather than everything", got)
	}
}

// Whatever a plan announces is owned.
func TestOwnedCoversPlans(t *testing.T) {
	for bits := 8; bits <= 32; bits++ {
		r := pharos.Range{First: addr("172.19.100.10"), Last: addr("172.19.103.200")}
		a := pharos.Advertisement{AggregationLength: bits}
		prefixes := r.Widened(bits).Prefixes()
		for ip := r.First; ip.Compare(r.Last) <= 0; ip = ip.Next() {
			want := a.Prefix(ip)
			covered := false
			for _, p := range prefixes {
				covered = covered || p.Bits() <= want.Bits() && p.Contains(want.Addr())
			}
			if !covered {
				t.Fatalf("%v of %v is not in %v", want, ip, prefixes)
			}
		}
	}
}

func TestPathsAreWatchedByProfile(t *testing.T) {
	cfg := &pharos.Config{BFDProfiles: []pharos.BFDProfile{{
		Name: "fast", ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 60 * time.Millisecond, DetectMultiplier: 4,
		EchoMode: true, EchoInterval: 20 * time.Millisecond, PassiveMode: true, MinimumTTL: 250,
	}}}
	got := watch(cfg, &pharos.Peer{BFDProfile: "fast", EBGPMultiHop: true})
	want := bfd.Profile{
		ReceiveInterval: 50 * time.Millisecond, TransmitInterval: 60 * time.Millisecond, DetectMultiplier: 4,
		EchoMode: true, EchoInterval: 20 * time.Millisecond, Passive: true, MinimumTTL: 250,
	}
	if got == nil || got.Profile != want || !got.Multihop {
		t.Errorf("watched by %+v", got)
	}
	if got := watch(cfg, &pharos.Peer{}); got != nil {
		t.Errorf("without a profile: %+v", got)
	}
	list, problems := sessions(Options{}, &pharos.Config{
		BFDProfiles: cfg.BFDProfiles,
		Peers:       []pharos.Peer{{Name: "tor", LocalAS: 1, RemoteAS: 2, Addr: netip.MustParseAddr("10.10.2.210"), BFDProfile: "fast"}},
	}, &pharos.Node{Name: "n1", Addresses: []netip.Addr{addr("10.10.2.112")}})
	if len(problems) > 0 || len(list) != 1 || list[0].config.BFD == nil || list[0].config.BFD.Multihop || list[0].config.Export == nil {
		t.Errorf("%+v, %v", list, problems)
	}
}
