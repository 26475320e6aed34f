package speaker

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// BenchmarkDeath is what the death of one of ten nodes costs a survivor, of 10,000
// Services on layer 2.
func BenchmarkDeath(b *testing.B) {
	s, others, members := crowded(b, 10, 10000)
	b.ReportAllocs()
	for b.Loop() {
		members.set(others[:len(others)-1])
		s.refresh()
		b.StopTimer()
		members.set(others)
		s.refresh()
		b.StartTimer()
	}
}

// BenchmarkReturn is what it costs when the node comes back.
func BenchmarkReturn(b *testing.B) {
	s, others, members := crowded(b, 10, 10000)
	for b.Loop() {
		b.StopTimer()
		members.set(others[:len(others)-1])
		s.refresh()
		b.StartTimer()
		members.set(others)
		s.refresh()
	}
}

// crowded returns a speaker among others.
func crowded(b *testing.B, nodes, services int) (*Speaker, []string, *roll) {
	b.Helper()
	members := &roll{}
	var list []*pharos.Node
	for i := range nodes {
		list = append(list, node(i+1))
	}
	lan := &silentAnnouncer{}
	s, err := New(Options{Node: "n1"}, Edge{Source: newFeed(), Recorder: deaf{}, Sessions: &engine{}, Membership: members, Layer2: lan})
	if err != nil {
		b.Fatal(err)
	}
	var others []string
	for _, n := range list {
		others = append(others, n.Name)
	}
	members.set(others)
	snap := &pharos.Snapshot{Synced: true, Nodes: cluster(list...), Config: &pharos.Config{
		Pools:          []pharos.Pool{pool("lan", "10.0.0.0/8")},
		Advertisements: []pharos.Advertisement{{Name: "lan", Mode: pharos.Layer2, Pools: []string{"lan"}}},
	}}
	for i := range services {
		svc := service(fmt.Sprint("s", i), fmt.Sprintf("10.0.%d.%d", i>>8, i&255))
		snap.Services = snap.Services.With(svc.Name, svc)
		snap.Endpoints = snap.Endpoints.With(svc.Name, backends("n1", "n2"))
	}
	s.Reconcile(snap)
	if len(lan.list) == 0 {
		b.Fatal("nothing is announced")
	}
	return s, others, members
}

// roll is a Membership of which the test says who is there.
type roll struct{ MembershipStatus }

func (r *roll) set(names []string) {
	r.MembershipStatus = MembershipStatus{Settled: true}
	for _, n := range names {
		r.Members = append(r.Members, Member{Name: n, Facts: &Facts{Ready: true, Acting: true, Partial: true}})
	}
}
func (r *roll) Set(netip.Addr, []netip.Addr) {}
func (r *roll) Tell(f Facts) Facts           { return f }
func (r *roll) Hold([]netip.Addr)            {}
func (r *roll) Holder(netip.Addr) string     { return "" }
func (r *roll) Heard() []netip.Addr          { return nil }
func (r *roll) Status() MembershipStatus     { return r.MembershipStatus }
func (r *roll) Changed() <-chan struct{}     { return nil }

type silentAnnouncer struct{ list []layer2.Announcement }

func (a *silentAnnouncer) Set(list []layer2.Announcement) { a.list = list }
func (a *silentAnnouncer) Links() []layer2.LinkStatus     { return []layer2.LinkStatus{{Name: "eth0"}} }
func (a *silentAnnouncer) Status() layer2.Status          { return layer2.Status{} }
func (a *silentAnnouncer) Changed() <-chan struct{}       { return nil }

type deaf struct{}

func (deaf) Service(pharos.Name, why.Reason) {}
func (deaf) Config(why.Reason)               {}
func (deaf) Node(string, why.Reason)         {}
