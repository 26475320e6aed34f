package dataplane_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
)

// A trace says what the nodes do: of every connection, at every node.
func TestTraceIsWhatHappens(t *testing.T) {
	c := newCluster(t, pharos.TCP, nil).pods(ready, ready, ready, ready, terminating).apply(all...)
	for i := range 200 {
		p := c.packet(i)
		ingress := all[i%3]
		s := c.snapshot
		trace := c.planners[ingress].Plan(&s).Trace(p)
		if !trace.Direct || trace.Service != c.name || trace.Kind != dataplane.LoadBalancer || !trace.Source || trace.Current == nil || trace.Previous == nil {
			t.Fatalf("connection %d: %+v", i, trace)
		}
		// What nobody knows yet, then what somebody does.
		p.Ongoing = true
		if path := c.fleet.Send(now, ingress, p); !slices.Equal(path.Nodes, trace.Later.Nodes) || path.Answer.Action != trace.Later.Action || path.SecondChance() != trace.Later.SecondChance {
			t.Errorf("connection %d: a later packet goes %+v, traced %+v", i, path, trace.Later)
		}
		p.Ongoing = false
		path := c.fleet.Send(now, ingress, p)
		if !slices.Equal(path.Nodes, trace.First.Nodes) || path.Backend() != trace.First.Backends[0].Addr || path.Backend() != trace.Current.Addr {
			t.Errorf("connection %d: the first packet goes %+v, traced %+v", i, path, trace.First)
		}
	}
}

func TestTraceElsewhere(t *testing.T) {
	c := newCluster(t, pharos.TCP, func(s *pharos.Service) { s.Mode = pharos.NAT }).pods(ready, ready).apply(all...)
	s := c.snapshot
	state := c.planners["n1"].Plan(&s)
	nat := state.Trace(c.packet(1))
	if nat.Direct || nat.First.Action != dataplane.Accept || len(nat.First.Backends) != 2 || !nat.First.Masquerade || nat.Current != nil {
		t.Errorf("in mode nat %+v", nat)
	}
	p := c.packet(1)
	p.Dst = netip.MustParseAddrPort("203.0.113.9:80")
	if nobody := state.Trace(p); nobody.Service != (pharos.Name{}) || nobody.First.Action != dataplane.Pass {
		t.Errorf("where nobody answers %+v", nobody)
	}
}
