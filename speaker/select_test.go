package speaker

import (
	"slices"
	"strings"
	"testing"

	"github.com/pharoslb/pharos"
)

// app selects Services by label app.
func app(values ...string) []pharos.Selector {
	return []pharos.Selector{{{Key: "app", Operator: pharos.In, Values: values}}}
}

func preferring(name string, pref uint32, pools ...string) pharos.Advertisement {
	a := advert(name, pools...)
	a.LocalPref = &pref
	return a
}

// Advertisements for some Services, and those that contradict each other.
func TestAdvertisementsSelectServices(t *testing.T) {
	const tor1, tor2 = "10.10.2.210:179", "10.10.2.211:179"
	web := advert("web", "a")
	web.ServiceSelectors = app("web")
	shop := advert("shop", "a")
	shop.ServiceSelectors, shop.Peers, shop.NodeSelectors = app("shop", "till"), []string{"tor2"}, onRack("2")
	wide := advert("wide", "a")
	wide.AggregationLength = 24
	low, high := preferring("low", 100, "a", "v6"), preferring("high", 200, "a", "v6")
	highOn2 := high
	highOn2.NodeSelectors = onRack("2")
	highTo2, lowTo1 := high, low
	highTo2.Peers, lowTo1.Peers = []string{"tor2"}, []string{"tor1"}
	highWeb := high
	highWeb.ServiceSelectors = app("web")
	highWide := high
	highWide.AggregationLength = 24
	all := " by n1 n2"
	cases := []struct {
		name    string
		adverts []pharos.Advertisement
		labels  string
		address string
		want    string
	}{
		{"the Service is selected", []pharos.Advertisement{web, shop}, "app=web", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
		{"selected for another node", []pharos.Advertisement{web, shop}, "app=till", "", "noMatchingAdvertisement\nnoMatchingAdvertisement by n2"},
		{"selected by nothing", []pharos.Advertisement{web, shop}, "app=mail", "", "noMatchingAdvertisement\nnoMatchingAdvertisement by "},
		{"without labels", []pharos.Advertisement{web, shop}, "", "", "noMatchingAdvertisement\nnoMatchingAdvertisement by "},
		{"one for all besides", []pharos.Advertisement{web, wide}, "app=mail", "", "nodeAssigned 172.19.100.0/24>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
		{"both", []pharos.Advertisement{web, wide}, "app=web", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 + " 172.19.100.0/24>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
		{"preferences clash", []pharos.Advertisement{low, high}, "", "", "conflictingAdvertisements\nconflictingAdvertisements by "},
		{"preferences clash for IPv6", []pharos.Advertisement{low, highWide}, "", "fd01::1", "conflictingAdvertisements\nconflictingAdvertisements by "},
		{"one sets no preference", []pharos.Advertisement{low, wide, web}, "app=web", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 +
			" 172.19.100.0/24>" + tor1 + "," + tor2 + " 172.19.100.1/32>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
		{"preferences of other prefixes", []pharos.Advertisement{low, highWide}, "", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 + " 172.19.100.0/24>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
		{"preferences to other peers", []pharos.Advertisement{lowTo1, highTo2}, "", "", "nodeAssigned 172.19.100.1/32>" + tor1 + " 172.19.100.1/32>" + tor2 + "\nnodeAssigned" + all},
		{"preferences clash on the other node", []pharos.Advertisement{low, highOn2}, "", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 + "\nnodeAssigned by n1"},
		{"preferences clash for one Service", []pharos.Advertisement{low, highWeb}, "app=web", "", "conflictingAdvertisements\nconflictingAdvertisements by "},
		{"and not for another", []pharos.Advertisement{low, highWeb}, "app=mail", "", "nodeAssigned 172.19.100.1/32>" + tor1 + "," + tor2 + "\nnodeAssigned" + all},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			cfg := base()
			cfg.Advertisements = c.adverts
			address := "172.19.100.1"
			if c.address != "" {
				address = c.address
			}
			svc := service("web", address)
			if key, value, ok := strings.Cut(c.labels, "="); ok {
				svc.Labels = map[string]string{key: value}
			}
			n1, n2 := node(1, "rack=1"), node(2, "rack=2")
			p := NewView(Options{Node: "n1"}, cfg, n1, cluster(n1, n2)).Plan(svc, backends("n1"))
			if got, want := render(p), address+" "+c.want; got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			// The other node sees the same, but for what is its own.
			if other := NewView(Options{Node: "n2"}, cfg, n2, cluster(n1, n2)).Plan(svc, backends("n1")); !slices.Equal(other.Nodes, p.Nodes) {
				t.Errorf("n2 says that %v announce, n1 says %v", other.Nodes, p.Nodes)
			}
		})
	}
}

// That a node is being drained does not settle a clash.
func TestClashOnADrainedNode(t *testing.T) {
	cfg := base()
	cfg.Advertisements = []pharos.Advertisement{preferring("low", 100, "a"), preferring("high", 200, "a")}
	n1, n2 := draining(node(1, "rack=1"), 0), node(2, "rack=2")
	p := NewView(Options{Node: "n1"}, cfg, n1, cluster(n1, n2)).Plan(service("web", "172.19.100.1"), backends("n1"))
	if got, want := render(p), "172.19.100.1 conflictingAdvertisements\nconflictingAdvertisements by "; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Explain names the objects that decided, and the selector.
func TestTrailNamesOriginsAndSelectors(t *testing.T) {
	cfg := base()
	cfg.Pools[0].Origin = "IPAddressPool metallb-system/a"
	web, mail := advert("web", "a"), advert("mail", "a")
	web.ServiceSelectors, web.Origin = append(app("shop"), app("web", "www")...), "BGPAdvertisement metallb-system/web"
	mail.ServiceSelectors, mail.Origin = app("mail"), "BGPAdvertisement metallb-system/mail"
	cfg.Advertisements = []pharos.Advertisement{web, mail}
	svc := service("web", "172.19.100.1")
	svc.Labels = map[string]string{"app": "www"}
	const want = `ok: address 172.19.100.1 is in pool "a" (IPAddressPool metallb-system/a)
ok: advertisement "web" (BGPAdvertisement metallb-system/web) offers 172.19.100.1/32 to [10.10.2.210:179 10.10.2.211:179], as the Service matches app in (web,www)
ok: advertisement "mail" (BGPAdvertisement metallb-system/mail) selects other Services: app in (mail)
ok: 1 of 1 endpoints can serve
nodeAssigned: announcing from node "n1" with protocol "bgp"`
	if got := NewView(Options{Node: "n1"}, cfg, node(1), cluster(node(1))).Plan(svc, backends("n1")).Trail.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Services whose addresses make one prefix: what is said of it is united, whoever
// comes first.
func TestMergedPrefixes(t *testing.T) {
	one, two := preferring("one", 100, "a"), preferring("two", 300, "a")
	one.AggregationLength, two.AggregationLength = 24, 24
	one.ServiceSelectors, two.ServiceSelectors = app("one"), app("two")
	one.Communities, two.Communities = []pharos.Community{2, 5}, []pharos.Community{1, 5}
	one.LargeCommunities, two.LargeCommunities = []pharos.LargeCommunity{{Global: 9}, {Global: 2, Local2: 1}}, []pharos.LargeCommunity{{Global: 9}}
	cfg := base()
	cfg.Advertisements, cfg.Peers = []pharos.Advertisement{one, two}, cfg.Peers[:1]
	v := NewView(Options{Node: "n1"}, cfg, node(1), cluster(node(1)))
	a, b := service("a", "172.19.100.1"), service("b", "172.19.100.2")
	a.Labels, b.Labels = map[string]string{"app": "one"}, map[string]string{"app": "two"}
	pa, pb := v.Plan(a, backends("n1")), v.Plan(b, backends("n1"))
	want := func(table *table, pref uint32, communities, large int) {
		t.Helper()
		got := table.want(prefix("172.19.100.0/24"), "10.10.2.210:179")
		if got == nil || *got.LocalPref != pref || len(got.Communities) != communities || len(got.LargeCommunities) != large {
			t.Errorf("%+v, want preference %d, %d communities, %d large ones", got, pref, communities, large)
		}
	}
	for _, order := range [][2]*Plan{{&pa, &pb}, {&pb, &pa}} {
		table := newTable(attrTable{}.next())
		table.add(order[0], nil)
		table.add(order[1], nil)
		want(table, 300, 3, 2)
		table.remove(&pb, nil)
		want(table, 100, 2, 2)
	}
}
