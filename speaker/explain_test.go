package speaker

import (
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
)

// What becomes of the decision is told before it: routes that peers lack, and
// preferences that other Services overrule.
func TestExplainTellsWhatBecomesOfIt(t *testing.T) {
	one, two := preferring("one", 100, "a"), preferring("two", 300, "a")
	one.AggregationLength, two.AggregationLength = 24, 24
	one.ServiceSelectors, two.ServiceSelectors = app("one"), app("two")
	two.Origin = "BGPAdvertisement metallb-system/two"
	cfg := base()
	cfg.Advertisements = []pharos.Advertisement{one, two}
	e := &engine{deaf: []string{"10.10.2.211:179"}}
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: &notebook{}, Sessions: e})
	if err != nil {
		t.Fatal(err)
	}
	a, b := service("a", "172.19.100.1"), service("b", "172.19.100.2")
	a.Labels, b.Labels = map[string]string{"app": "one"}, map[string]string{"app": "two"}
	world := pharos.Snapshot{Synced: true, Config: cfg, Nodes: cluster(node(1))}
	world.Services = world.Services.With(a.Name, a).With(b.Name, b)
	world.Endpoints = world.Endpoints.With(a.Name, backends("n1"))
	first := world
	s.Reconcile(&first)
	const offer = `ok: address 172.19.100.1 is in pool "a"
ok: advertisement "one" offers 172.19.100.0/24 to [10.10.2.210:179 10.10.2.211:179], as the Service matches app in (one)
ok: advertisement "two" (BGPAdvertisement metallb-system/two) selects other Services: app in (two)
ok: 1 of 1 endpoints can serve
`
	const lacks = `announceFailed: peer "tor2" does not have 172.19.100.0/24: it did not agree to carry routes of that family
`
	const verdict = `nodeAssigned: announcing from node "n1" with protocol "bgp"`
	if got := s.Explain(a.Name).String(); got != offer+lacks+verdict {
		t.Errorf("got\n%s\nwant\n%s", got, offer+lacks+verdict)
	}
	world.Endpoints = world.Endpoints.With(b.Name, backends("n1"))
	next := world
	s.Reconcile(&next)
	const outvoted = `conflictingAdvertisements: advertisement "one" says local preference 100 of 172.19.100.0/24, and another Service has advertisement "two" (BGPAdvertisement metallb-system/two) say 300; peers are told the higher
`
	if got := s.Explain(a.Name).String(); got != offer+outvoted+lacks+verdict {
		t.Errorf("got\n%s\nwant\n%s", got, offer+outvoted+lacks+verdict)
	}
}

func TestLack(t *testing.T) {
	v4, v6 := wire.IPv4Unicast, wire.IPv6Unicast
	session := func(negotiated []wire.Family, configured ...wire.Family) bgp.SessionStatus {
		l := bgp.SessionStatus{Config: bgp.Config{RemoteAddr: addr("10.10.2.210"), Families: configured, NextHopIPv6: addr("fd00::1")}}
		for _, f := range negotiated {
			l.Families = append(l.Families, bgp.FamilyStatus{Family: f})
		}
		return l
	}
	both := []wire.Family{v4, v6}
	noHop, pending := session(both, both...), session(both, both...)
	noHop.Config.NextHopIPv6, pending.Pending = netip.Addr{}, 3
	for want, l := range map[string]bgp.SessionStatus{
		"its session carries one address family; dualStackAddressFamily makes it two": session([]wire.Family{v4}),
		"it did not agree to carry routes of that family":                             session([]wire.Family{v4}, both...),
		"the node has no IPv6 address that could be the next hop":                     noHop,
		"it is about to be told":                                                      pending,
		"the session cannot carry it":                                                 session(both, both...),
	} {
		if got := lack(&l, prefix("fd01::1/128")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
