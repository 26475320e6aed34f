package migrate

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

// world is a cluster of three nodes in which MetalLB and Pharos agree: a Service
// announced over BGP and one on layer 2.
type world struct {
	snap *pharos.Snapshot
	cfg  *pharos.Config
	m    *MetalLB
}

func peaceful() *world {
	cfg := &pharos.Config{
		Reassign: true,
		Pools: []pharos.Pool{
			{Name: "lan", Origin: "IPAddressPool metallb-system/lan", Ranges: []pharos.Range{pharos.PrefixRange(netip.MustParsePrefix("10.10.2.64/29"))}},
			{Name: "web", Origin: "IPAddressPool metallb-system/web", Ranges: []pharos.Range{pharos.PrefixRange(netip.MustParsePrefix("192.0.2.0/24"))}},
		},
		Peers: []pharos.Peer{{
			Name: "tor", Origin: "BGPPeer metallb-system/tor", LocalAS: 65001, RemoteAS: 65000, Addr: addr("10.10.2.210"), Port: 179, HoldTime: ptr(90 * time.Second),
		}},
		Advertisements: []pharos.Advertisement{
			{Name: "web", Origin: "BGPAdvertisement metallb-system/web", Mode: pharos.BGP, IGP: true, Pools: []string{"web"}, AggregationLength: 32, AggregationLengthV6: 128},
			{Name: "lan", Origin: "L2Advertisement metallb-system/lan", Mode: pharos.Layer2, Pools: []string{"lan"}, Interfaces: []string{"eth0"}},
		},
	}
	snap := &pharos.Snapshot{Synced: true, Config: cfg}
	for i := 1; i <= 3; i++ {
		name := fmt.Sprintf("n%d", i)
		snap.Nodes = snap.Nodes.With(name, &pharos.Node{Name: name, Labels: map[string]string{"node": name}, Addresses: []netip.Addr{addr(fmt.Sprintf("10.10.2.%d", i))}})
	}
	snap.Namespaces = snap.Namespaces.With("default", &pharos.Namespace{Name: "default"})
	w := &world{snap, cfg, &MetalLB{Found: true, Mode: FRRK8s, Version: Version{16, 1}}}
	w.service("web", "192.0.2.1", "web")
	w.service("lan", "10.10.2.64", "lan")
	w.m.Announcers = []Status{bgp("web", "n1", "tor"), bgp("web", "n2", "tor"), bgp("web", "n3", "tor")}
	w.m.Owners = []Status{{Service: named("lan"), Node: "n2", Interfaces: []string{"eth0"}}}
	return w
}

func ptr[T any](v T) *T          { return &v }
func named(s string) pharos.Name { return pharos.Name{Namespace: "default", Name: s} }
func bgp(s, node, peer string) Status {
	return Status{Service: named(s), Node: node, Peers: []string{peer}}
}
func selects(node string) pharos.Selector {
	return pharos.Selector{{Key: "node", Operator: pharos.In, Values: []string{node}}}
}

// service makes one with endpoints on n1 and n2.
func (w *world) service(name, address, pool string) *pharos.Service {
	svc := &pharos.Service{Name: named(name), UID: name, Type: pharos.LoadBalancer, Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}}, ClusterIPs: []netip.Addr{addr("10.96.0.1")}, AllocatedFrom: pool}
	if address != "" {
		svc.Ingress = []netip.Addr{addr(address)}
	}
	w.snap.Services = w.snap.Services.With(svc.Name, svc)
	w.snap.Endpoints = w.snap.Endpoints.With(svc.Name, &pharos.Endpoints{Backends: []pharos.Backend{{Node: "n1", Ready: true}, {Node: "n2", Ready: true}}})
	return svc
}

func (w *world) check() *Report { return Check(w.snap, w.m) }

// lines renders findings as kind, object, is and becomes.
func lines(list []Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, fmt.Sprintf("%s %s: %s -> %s", f.Kind, f.Object, f.Is, f.Becomes))
	}
	return out
}

// old makes it a world of the ConfigMap, with MetalLB 0.12 and nothing on layer 2.
func old(w *world) {
	w.m.Version, w.m.Mode, w.m.Owners = Version{12, 1}, Native, nil
	w.snap.Services = w.snap.Services.Without(named("lan"))
	w.cfg.Pools, w.cfg.Advertisements = w.cfg.Pools[1:], w.cfg.Advertisements[:1]
	w.cfg.Pools[0].Origin, w.cfg.Peers[0].Origin, w.cfg.Advertisements[0].Origin = "ConfigMap, address-pools[0]", "ConfigMap, peers[0]", "ConfigMap, address-pools[0]"
	w.cfg.Advertisements[0].IGP = false
	w.m.Announcers = []Status{bgp("web", "n1", "tor"), bgp("web", "n2", "tor")}
	w.cfg.Peers[0].NodeSelectors = []pharos.Selector{selects("n1"), selects("n2")}
}

func TestNothingChanges(t *testing.T) {
	r := peaceful().check()
	if len(r.Changes) > 0 {
		t.Errorf("changes:\n%s", strings.Join(lines(r.Changes), "\n"))
	}
	want := Counts{Services: 2, Addresses: 2, Owners: 1, Announced: 1, Pools: 2, Advertisements: 2, Peers: 1, Nodes: 3}
	if r.Compared != want {
		t.Errorf("compared %+v, want %+v", r.Compared, want)
	}
	if got := lines(r.Notes); len(got) > 0 {
		t.Errorf("notes: %q", got)
	}
}

// The order of what was listed is of no matter.
func TestOrder(t *testing.T) {
	w := peaceful()
	w.m.Owners = append(w.m.Owners, Status{Service: named("lan"), Node: "n3"}, Status{Service: named("web"), Node: "n1"}, Status{Service: named("gone"), Node: "n1"})
	w.m.Announcers = append(w.m.Announcers, bgp("lan", "n1", "tor"), bgp("web", "n4", "tor"), bgp("web", "n4", "old"))
	w.m.Foreign = []pharos.Ref{{Kind: "FRRConfiguration", Name: "b"}, {Kind: "FRRConfiguration", Name: "a"}}
	want := w.check()
	for range 20 {
		for _, list := range [][]Status{w.m.Owners, w.m.Announcers} {
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		}
		slices.Reverse(w.m.Foreign)
		if got := w.check(); !reflect.DeepEqual(got, want) {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(lines(got.Changes), "\n"), strings.Join(lines(want.Changes), "\n"))
		}
	}
}

// A large cluster: 100 nodes, 5,000 Services.
func BenchmarkCheck(b *testing.B) {
	w := peaceful()
	for i := range 100 {
		name := fmt.Sprintf("m%d", i)
		w.snap.Nodes = w.snap.Nodes.With(name, &pharos.Node{Name: name})
	}
	w.cfg.Pools[1].Ranges[0] = pharos.PrefixRange(netip.MustParsePrefix("192.0.0.0/16"))
	a := addr("192.0.0.1")
	for i := range 5000 {
		name := fmt.Sprintf("s%d", i)
		w.service(name, a.String(), "web")
		a = a.Next()
		for n := range w.snap.Nodes.All() {
			w.m.Announcers = append(w.m.Announcers, bgp(name, n, "tor"))
		}
	}
	for b.Loop() {
		w.check()
	}
}

// Each rule, one at a time: what is changed in the peaceful world, and what is found
// then. A note begins with an asterisk.
func TestRules(t *testing.T) {
	peer := func(w *world) *pharos.Peer { return &w.cfg.Peers[0] }
	mode := func(m Mode) func(*world) { return func(w *world) { w.m.Mode = m } }
	tests := []struct {
		name string
		edit func(*world)
		want []string
	}{
		// Refused and read by one alone.
		{"bgpextras in frr mode", func(w *world) {
			w.m.Mode = FRR
			w.snap.Problems = []pharos.Problem{{Object: pharos.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "bgpextras"}, Field: "data.extras", Reason: why.New(why.ConfigInvalid, "no FRR")}}
		}, []string{"refused ConfigMap ns/bgpextras: appended to FRR's configuration -> not read"}},
		{"bgpextras in frr-k8s mode", func(w *world) {
			w.snap.Problems = []pharos.Problem{{Object: pharos.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "bgpextras"}, Reason: why.New(why.ConfigInvalid, "no FRR")}}
		}, []string{"refused ConfigMap ns/bgpextras: refused by MetalLB 0.16.1 in frr-k8s mode, with all of the configuration -> not read"}},
		{"an object that is wrong", func(w *world) {
			w.snap.Problems = []pharos.Problem{{Object: pharos.Ref{Kind: "BGPPeer", Namespace: "ns", Name: "x"}, Field: "spec.peerASN", Reason: why.New(why.ConfigInvalid, "is missing")}}
		}, []string{"refused BGPPeer ns/x: as MetalLB read it last -> left out"}},
		{"nothing configured", func(w *world) {
			w.snap.Config, w.m.Owners, w.m.Announcers = nil, nil, nil
			w.snap.Problems = []pharos.Problem{{Object: pharos.Ref{Kind: "ConfigMap", Namespace: "ns", Name: "config"}, Reason: why.New(why.ConfigMissing, "")}}
		}, []string{"refused ConfigMap ns/config: not there -> nothing is given out or announced"}},
		{"an FRRConfiguration of the user's", func(w *world) { w.m.Foreign = []pharos.Ref{{Kind: "FRRConfiguration", Namespace: "frr", Name: "mine"}} },
			[]string{"refused FRRConfiguration frr/mine: part of FRR's configuration -> not read"}},
		{"FRRConfigurations of MetalLB's", func(w *world) {
			w.m.Own = []pharos.Ref{{Kind: "FRRConfiguration", Namespace: "ns", Name: "metallb-n2"}, {Kind: "FRRConfiguration", Namespace: "ns", Name: "metallb-n1"}}
		}, []string{"*configuration FRRConfigurations ns/metallb-n1, ns/metallb-n2: kept by MetalLB's speakers -> kept by nobody, and in force as long as frr-k8s runs"}},
		{"an AddressPool", func(w *world) { w.m.AddressPools = []pharos.Ref{{Kind: "AddressPool", Namespace: "ns", Name: "old"}} },
			[]string{"refused AddressPool ns/old: a pool, of MetalLB before 0.14 -> not read"}},
		{"a ConfigMap left over", func(w *world) {
			w.cfg.Pools = append(w.cfg.Pools, pharos.Pool{Name: "zold", Origin: "ConfigMap, address-pools[0]", Ranges: []pharos.Range{pharos.PrefixRange(netip.MustParsePrefix("198.51.100.0/24"))}})
		}, []string{"configuration ConfigMap config: not read -> in force: pool zold"}},
		{"resources beside 0.12", func(w *world) { w.m.Version = Version{12, 1} },
			[]string{"configuration resources of group metallb.io: not read -> in force: pool lan, pool web, peer tor"}},
		{"Pharos is there", func(w *world) { w.m.Replaced = true }, []string{"*configuration Deployment controller: Pharos -> Pharos"}},
		{"MetalLB is not there", func(w *world) { w.m.Found = false }, []string{"*configuration MetalLB: not found -> Pharos"}},
		{"a load balancer class", func(w *world) {
			w.m.Class, w.m.Owners, w.m.Announcers = "lb", nil, nil
		}, []string{"*configuration --lb-class: lb -> lb, if you say so again"}},
		{"excluded nodes announce", func(w *world) { w.m.IgnoreExcludeLabel = true }, []string{"*configuration --ignore-exclude-lb: given -> given, if you say so again"}},

		// Addresses.
		{"selectors that match no namespace", func(w *world) {
			w.cfg.Pools[1].Allocation = &pharos.Allocation{NamespaceSelectors: []pharos.Selector{selects("none")}}
		}, []string{"address Service default/web: 192.0.2.1 of pool web -> 10.10.2.65 of pool lan"}},
		{"a Service that waits in vain", func(w *world) { w.service("new", "", "") }, []string{"address Service default/new: no address -> 10.10.2.65 of pool lan"}},
		{"no pool is noted", func(w *world) { w.service("web", "192.0.2.1", "") },
			[]string{"*address Service default/web: no annotation metallb.io/ip-allocated-from-pool -> the pool's name"}},
		{"another pool is noted", func(w *world) { w.service("web", "192.0.2.1", "renamed") },
			[]string{"address Service default/web: 192.0.2.1 of pool renamed -> 192.0.2.1 of pool web"}},
		{"no pool any more", func(w *world) { w.cfg.Pools, w.m.Owners, w.m.Announcers = nil, nil, nil },
			[]string{"refused the configuration: refused by MetalLB as well, or not yet seen -> refused as a whole, until it is right"}},

		// Owners and announcements.
		{"another owner", func(w *world) { w.m.Owners[0].Node = "n1" }, []string{"owner Service default/lan: n1 on eth0 -> n2 on eth0"}},
		{"other interfaces", func(w *world) { w.m.Owners[0].Interfaces = nil }, []string{"owner Service default/lan: n2 -> n2 on eth0"}},
		{"an owner without a speaker", func(w *world) { w.m.Speakers = []string{"n1", "n3"} },
			[]string{"owner Service default/lan: n2 on eth0 -> n3 on eth0", "announcement Service default/web: n2 to tor -> nobody"}},
		{"no layer 2 advertisement", func(w *world) { w.cfg.Advertisements = w.cfg.Advertisements[:1] }, []string{"owner Service default/lan: n2 on eth0 -> nobody"}},
		{"nobody announced it", func(w *world) { w.service("lan2", "10.10.2.66", "lan") }, []string{"owner Service default/lan2: nobody -> n2 on eth0"}},
		{"no statuses", func(w *world) { w.m.Owners, w.m.Announcers = nil, nil },
			[]string{"*owner Service default/lan: not told by MetalLB -> the node that MetalLB's rule elects",
				"*announcement Service default/web: not told by MetalLB -> announced as the configuration says"}},
		{"elected before 0.11", func(w *world) {
			w.m.Version, w.m.Mode, w.m.Owners, w.m.Announcers = Version{9, 5}, Native, nil, nil
			w.cfg.Advertisements[1].Interfaces = nil
			w.cfg.Pools = w.cfg.Pools[:1]
			for i := range w.cfg.Pools {
				w.cfg.Pools[i].Origin = "ConfigMap, address-pools[0]"
			}
			w.cfg.Peers = nil
			w.service("web", "", "")
			w.snap.Services = w.snap.Services.Without(named("web"))
			w.service("b", "10.10.2.65", "lan")
		}, []string{"owner Service default/b: n2 -> n3", "*owner L2Advertisements without interfaces: lan: announced on all interfaces -> on those whose subnets hold the address, or on all if there are none"}},
		{"an excluded node, before 0.13", func(w *world) {
			old(w)
			w.snap.Nodes = w.snap.Nodes.With("n3", &pharos.Node{Name: "n3", Labels: map[string]string{pharos.ExcludeLabel: ""}})
		}, []string{"announcement Node n3: announces -> announces nothing"}},
		{"an excluded node, since 0.13", func(w *world) {
			w.snap.Nodes = w.snap.Nodes.With("n3", &pharos.Node{Name: "n3", Labels: map[string]string{pharos.ExcludeLabel: ""}})
			w.m.Announcers = w.m.Announcers[:2]
		}, nil},
		{"a class, before 0.13", func(w *world) {
			old(w)
			w.service("other", "192.0.2.9", "").Class = "somebody/else"
			w.service("foreign", "203.0.113.9", "").Class = "somebody/else"
		}, []string{"announcement Service default/other: announced -> not announced; the address stays in its status"}},
		{"announced to one peer fewer", func(w *world) { w.cfg.Peers[0].NodeSelectors = []pharos.Selector{selects("n1"), selects("n2")} },
			[]string{"announcement Service default/web: n3 to tor -> nobody"}},
		{"announced by one node more", func(w *world) { w.m.Announcers = w.m.Announcers[1:] }, []string{"announcement Service default/web: nobody -> n1 to tor"}},
		{"announced to another peer", func(w *world) { w.m.Announcers[0].Peers = []string{"old"} }, []string{"announcement Service default/web: n1 to old -> n1 to tor"}},
		{"layer 2 on all interfaces", func(w *world) { w.cfg.Advertisements[1].Interfaces, w.m.Owners[0].Interfaces = nil, nil },
			[]string{"*owner L2Advertisements without interfaces: lan: announced on all interfaces -> on those whose subnets hold the address, or on all if there are none"}},

		// Attributes.
		{"local preference of native mode", func(w *world) { w.m.Mode = Native; peer(w).RemoteAS = 65001 },
			[]string{"attribute BGPAdvertisement metallb-system/web: LOCAL_PREF 0 -> LOCAL_PREF 100"}},
		{"the same, set", func(w *world) {
			w.m.Mode = Native
			peer(w).RemoteAS = 65001
			w.cfg.Advertisements[0].LocalPref = ptr(uint32(7))
		}, nil},
		{"the same, with FRR", func(w *world) { peer(w).RemoteAS = 65001 }, nil},
		{"the same, not known", func(w *world) { w.m.Mode = ""; peer(w).RemoteAS = 65001 },
			[]string{"*attribute BGPAdvertisement metallb-system/web: LOCAL_PREF 0, if MetalLB is in native mode -> LOCAL_PREF 100"}},
		{"large communities in native mode", func(w *world) {
			w.m.Mode = Native
			w.cfg.Advertisements[0].LargeCommunities = []pharos.LargeCommunity{{Global: 1}}
		},
			[]string{"announcement BGPAdvertisement metallb-system/web: refused by native mode, with all of the configuration -> in force"}},
		{"IPv6 in native mode", func(w *world) {
			w.m.Mode = Native
			w.cfg.Pools[1].Ranges = append(w.cfg.Pools[1].Ranges, pharos.PrefixRange(netip.MustParsePrefix("2001:db8::/64")))
		},
			[]string{"announcement BGPAdvertisement metallb-system/web: refused by native mode, with all of the configuration -> in force"}},

		// Sessions.
		{"sourceAddress in frr-k8s mode", func(w *world) { peer(w).SourceAddr = addr("10.10.2.1") },
			[]string{"session BGPPeer metallb-system/tor: sourceAddress ignored: the kernel chooses -> from 10.10.2.1"}},
		{"sourceAddress in frr mode", func(w *world) { w.m.Mode = FRR; peer(w).SourceAddr = addr("10.10.2.1") }, nil},
		{"sourceAddress, not known", func(w *world) { w.m.Mode = ""; peer(w).SourceAddr = addr("10.10.2.1") },
			[]string{"*session BGPPeer metallb-system/tor: sourceAddress ignored: the kernel chooses, if MetalLB is in frr-k8s mode -> from 10.10.2.1"}},
		{"localASN in frr-k8s mode", func(w *world) { peer(w).LocalASOverride = 65009 }, []string{"session BGPPeer metallb-system/tor: localASN ignored: AS 65001 -> AS 65009"}},
		{"localASN in frr mode", func(w *world) { w.m.Mode = FRR; peer(w).LocalASOverride = 65009 }, nil},
		{"a router between, native mode", func(w *world) { w.m.Mode = Native; peer(w).Addr = addr("203.0.113.1") },
			[]string{"session BGPPeer metallb-system/tor: reached over any number of routers -> one hop away, or no session"}},
		{"a router between, ebgpMultiHop", func(w *world) { w.m.Mode = Native; peer(w).Addr, peer(w).EBGPMultiHop = addr("203.0.113.1"), true }, nil},
		{"a router between, internal", func(w *world) {
			w.m.Mode, w.cfg.Advertisements[0].LocalPref = Native, ptr(uint32(1))
			peer(w).Addr, peer(w).RemoteAS = addr("203.0.113.1"), 65001
		}, nil},
		{"a router between, ConfigMap", func(w *world) { w.m.Mode = Native; peer(w).Addr, peer(w).AnyDistance = addr("203.0.113.1"), true }, nil},
		{"a router between, FRR", func(w *world) { peer(w).Addr = addr("203.0.113.1") }, nil},
		{"no router between, native mode", mode(Native), nil},
		{"an IPv6 peer in native mode", func(w *world) { w.m.Mode = Native; peer(w).Addr, peer(w).EBGPMultiHop = addr("2001:db8::1"), true },
			[]string{"session BGPPeer metallb-system/tor: IPv4 routes, malformed -> IPv6 routes alone"}},
		{"both families before 0.15", func(w *world) {
			w.m.Version = Version{14, 9}
			w.cfg.Pools[1].Ranges = append(w.cfg.Pools[1].Ranges, pharos.PrefixRange(netip.MustParsePrefix("2001:db8::/64")))
		}, []string{"announcement BGPPeer metallb-system/tor: IPv4 and IPv6 routes -> IPv4 routes alone"}},
		{"both families before 0.15, no such address", func(w *world) { w.m.Version = Version{14, 9} }, nil},
		{"both families before 0.15, disableMP", func(w *world) {
			w.m.Version, w.m.SingleFamily = Version{14, 9}, []string{"tor"}
			w.cfg.Pools[1].Ranges = append(w.cfg.Pools[1].Ranges, pharos.PrefixRange(netip.MustParsePrefix("2001:db8::/64")))
		}, nil},
		{"no hold time", func(w *world) { peer(w).HoldTime = nil }, []string{"*session BGPPeers without holdTime: tor: hold time 180s -> hold time 9s"}},
		{"no hold time, native mode", func(w *world) { w.m.Mode = Native; peer(w).HoldTime = nil }, []string{"*session BGPPeers without holdTime: tor: hold time 90s -> hold time 9s"}},
		{"a peer without a session", func(w *world) {
			peer(w).Refused, peer(w).SourceAddr = why.New(why.SecretMissing, ""), addr("10.10.2.1")
		}, []string{"announcement Service default/web: n1 to tor, n2 to tor, n3 to tor -> nobody"}},
	}
	for field, edit := range map[string]func(*pharos.Peer){
		"keepaliveTime":          func(p *pharos.Peer) { p.KeepaliveTime = ptr(time.Second) },
		"vrf":                    func(p *pharos.Peer) { p.VRF = "red" },
		"connectTime":            func(p *pharos.Peer) { p.ConnectTime = ptr(time.Second) },
		"enableGracefulRestart":  func(p *pharos.Peer) { p.GracefulRestart = true },
		"dualStackAddressFamily": func(p *pharos.Peer) { p.DualStack = true },
		"dynamicASN":             func(p *pharos.Peer) { p.RemoteAS, p.DynamicAS = 0, pharos.External },
		"localASN":               func(p *pharos.Peer) { p.LocalASOverride = 65009 },
		"bfdProfile":             func(p *pharos.Peer) { p.BFDProfile = "fast" },
	} {
		tests = append(tests, struct {
			name string
			edit func(*world)
			want []string
		}{field + " in native mode", func(w *world) {
			w.m.Mode = Native
			w.cfg.BFDProfiles = []pharos.BFDProfile{{Name: "fast", ReceiveInterval: time.Second, TransmitInterval: time.Second, DetectMultiplier: 3}}
			edit(peer(w))
		}, []string{"session BGPPeer metallb-system/tor: refused by native mode, with all of the configuration -> in force"}})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := peaceful()
			tt.edit(w)
			r := w.check()
			got := lines(r.Changes)
			for _, l := range lines(r.Notes) {
				if !strings.HasPrefix(l, "attribute all BGP routes") { // told of every cluster with BGP
					got = append(got, "*"+l)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("found\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
			for _, f := range slices.Concat(r.Changes, r.Notes) {
				if f.Why == "" {
					t.Errorf("nothing says why: %v", f)
				}
			}
		})
	}
}

func TestVersion(t *testing.T) {
	for tag, want := range map[string]Version{
		"v0.16.1": {16, 1}, "0.9.5": {9, 5}, "v0.14.9-debian-12-r3": {14, 9}, "main": {}, "": {}, "v1.2.3": {}, "v0.x.1": {}, "v0.15": {}, "0.-3.1": {},
	} {
		if got := ParseVersion(tag); got != want {
			t.Errorf("%q: %v, want %v", tag, got, want)
		}
	}
}

func TestMode(t *testing.T) {
	for text, want := range map[string]Mode{"": Native, "native": Native, "frr": FRR, "frr-k8s": FRRK8s, "bird": ""} {
		if got := ParseMode(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
