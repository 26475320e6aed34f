package election

import (
	"fmt"
	"slices"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func label(key, value string) pharos.Selector {
	return pharos.Selector{{Key: key, Operator: pharos.In, Values: []string{value}}}
}

func node(name string, labels ...string) *pharos.Node {
	n := &pharos.Node{Name: name, Labels: map[string]string{"name": name}}
	for i := 0; i+1 < len(labels); i += 2 {
		n.Labels[labels[i]] = labels[i+1]
	}
	return n
}

func all(a pharos.Advertisement) pharos.Advertisement {
	a.Mode, a.Pools = pharos.Layer2, []string{"web"}
	return a
}

func TestCandidates(t *testing.T) {
	down, excluded := node("n3"), node("n4", pharos.ExcludeLabel, "")
	down.NetworkUnavailable = true
	nodes := []*pharos.Node{node("n2", "rack", "b"), node("n1", "rack", "a"), down, excluded, node("n5", "rack", "a")}
	anywhere := Request{Serving: []string{"n1", "n9"}}
	for _, r := range []struct {
		name    string
		adverts []pharos.Advertisement
		ask     Request
		ignore  bool
		want    string
		node    string // of whom the reason is asked
		code    why.Code
	}{
		{name: "everybody", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: anywhere,
			want: "[{n1 0} {n2 0} {n5 0}]", node: "n3", code: why.NodeNetworkUnavailable},
		{name: "label", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: anywhere,
			want: "[{n1 0} {n2 0} {n5 0}]", node: "n4", code: why.NodeLabeledExcludeBalancers},
		{name: "label ignored", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: anywhere, ignore: true,
			want: "[{n1 0} {n2 0} {n4 0} {n5 0}]", node: "n4"},
		{name: "no advertisement", adverts: []pharos.Advertisement{{Mode: pharos.BGP, Pools: []string{"web"}}, {Mode: pharos.Layer2, Pools: []string{"db"}}},
			ask: anywhere, want: "[]", node: "n1", code: why.NoMatchingAdvertisement},
		{name: "node selector", adverts: []pharos.Advertisement{all(pharos.Advertisement{NodeSelectors: []pharos.Selector{label("rack", "a")}})},
			ask: anywhere, want: "[{n1 0} {n5 0}]", node: "n2", code: why.NoMatchingAdvertisement},
		{name: "one advertisement is enough", adverts: []pharos.Advertisement{
			all(pharos.Advertisement{NodeSelectors: []pharos.Selector{label("rack", "a")}}), all(pharos.Advertisement{NodeSelectors: []pharos.Selector{label("rack", "b")}})},
			ask: anywhere, want: "[{n1 0} {n2 0} {n5 0}]", node: "n2"},
		{name: "service selector", adverts: []pharos.Advertisement{all(pharos.Advertisement{ServiceSelectors: []pharos.Selector{label("app", "shop")}})},
			ask: anywhere, want: "[]", node: "n1", code: why.NoMatchingAdvertisement},
		{name: "service selected", adverts: []pharos.Advertisement{all(pharos.Advertisement{ServiceSelectors: []pharos.Selector{label("app", "shop")}})},
			ask: Request{Labels: map[string]string{"app": "shop"}, Serving: []string{"n1"}}, want: "[{n1 0} {n2 0} {n5 0}]", node: "n1"},
		{name: "weights add up", adverts: []pharos.Advertisement{
			all(pharos.Advertisement{Preferred: []pharos.Preference{{Weight: 10, Nodes: label("rack", "a")}, {Weight: 5, Nodes: label("name", "n1")}}}),
			all(pharos.Advertisement{NodeSelectors: []pharos.Selector{label("name", "n1")}, Preferred: []pharos.Preference{{Weight: 1, Nodes: nil}}}),
			all(pharos.Advertisement{ServiceSelectors: []pharos.Selector{label("app", "shop")}, Preferred: []pharos.Preference{{Weight: 100, Nodes: label("name", "n2")}}})},
			ask: anywhere, want: "[{n1 16} {n2 0} {n5 10}]", node: "n1"},
		{name: "no endpoint", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, want: "[]", node: "n1", code: why.NoEndpoints},
		{name: "local", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: Request{Local: true, Serving: []string{"n1", "n1", "n9"}},
			want: "[{n1 0}]", node: "n2", code: why.NoLocalEndpoints},
		{name: "dead", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: Request{Serving: []string{"n1"}, Alive: func(n string) bool { return n != "n5" }},
			want: "[{n1 0} {n2 0}]", node: "n5", code: why.NotOwner},
		{name: "unknown node", adverts: []pharos.Advertisement{all(pharos.Advertisement{})}, ask: anywhere,
			want: "[{n1 0} {n2 0} {n5 0}]", node: "n7", code: why.NoMatchingAdvertisement},
	} {
		b := NewBallot("web", nodes, r.adverts, r.ignore)
		if got := fmt.Sprint(b.Candidates(&r.ask)); got != r.want {
			t.Errorf("%s: candidates %s, want %s", r.name, got, r.want)
		}
		if _, got := b.Candidate(r.node, &r.ask); got.Code != r.code {
			t.Errorf("%s: reason %v %q, want %v", r.name, got.Code, got, r.code)
		}
	}
}

func TestInterfacesAreThoseOfAllMatchingAdvertisements(t *testing.T) {
	nodes := []*pharos.Node{node("n1", "rack", "a"), node("n2", "rack", "b")}
	b := NewBallot("web", nodes, []pharos.Advertisement{
		all(pharos.Advertisement{Interfaces: []string{"eth1", "eth0"}}),
		all(pharos.Advertisement{Interfaces: []string{"eth1", "eth2"}, NodeSelectors: []pharos.Selector{label("rack", "a")}}),
		all(pharos.Advertisement{ServiceSelectors: []pharos.Selector{label("app", "shop")}}),
	}, false)
	for _, r := range []struct {
		node   string
		labels map[string]string
		want   []string
		ok     bool
	}{
		{"n1", nil, []string{"eth0", "eth1", "eth2"}, true},
		{"n2", nil, []string{"eth0", "eth1"}, true},
		{"n2", map[string]string{"app": "shop"}, nil, true},
		{"n9", nil, nil, false},
	} {
		if got, ok := b.Interfaces(r.node, r.labels); !slices.Equal(got, r.want) || ok != r.ok {
			t.Errorf("%s %v: %v %v", r.node, r.labels, got, ok)
		}
	}
	if !b.SelectsServices() || b.Empty() || !NewBallot("db", nodes, nil, false).Empty() {
		t.Error("what covers the pool")
	}
}
