package crd

import (
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// valid checks what every Config keeps to, whatever the objects say.
func valid(t testing.TB, c *pharos.Config) {
	t.Helper()
	var ranges []pharos.Range
	for i := range c.Pools {
		p := &c.Pools[i]
		if i > 0 && c.Pools[i-1].Name >= p.Name {
			t.Errorf("pools %q and %q are not in order, or one", c.Pools[i-1].Name, p.Name)
		}
		if p.Name == "" || p.Origin == "" || len(p.Ranges) == 0 {
			t.Errorf("pool %+v", p)
		}
		for _, r := range p.Ranges {
			if r.First.BitLen() != r.Last.BitLen() || r.First.Compare(r.Last) > 0 {
				t.Errorf("range %v", r)
			}
			if slices.ContainsFunc(ranges, r.Overlaps) {
				t.Errorf("%v overlaps", r)
			}
			ranges = append(ranges, r)
		}
		for _, r := range p.Reservations {
			if !p.Contains(r.Addr) {
				t.Errorf("%v is reserved, and not of the pool", r)
			}
		}
	}
	names := map[string]bool{}
	for _, p := range c.Peers {
		if names[p.Name] {
			t.Errorf("two peers %q", p.Name)
		}
		names[p.Name] = true
		switch {
		case p.Addr.IsValid() == (p.Interface != ""):
			t.Errorf("peer %+v is nowhere, or in two places", p)
		case (p.RemoteAS != 0) == (p.DynamicAS != "") || p.LocalAS == 0:
			t.Errorf("peer %+v has no autonomous system, or two", p)
		case p.HoldTime != nil && (*p.HoldTime != 0 && *p.HoldTime < 3*time.Second || *p.HoldTime > 65535*time.Second || *p.HoldTime%time.Second != 0):
			t.Errorf("hold time %s", *p.HoldTime)
		case p.HoldTime != nil && p.KeepaliveTime != nil && *p.KeepaliveTime > *p.HoldTime:
			t.Errorf("keepalive time %s", *p.KeepaliveTime)
		case p.Port == 0:
			t.Error("port 0")
		}
		if b := c.BFDProfile(p.BFDProfile); p.BFDProfile != "" && b == nil && p.Refused.Code == why.OK {
			t.Errorf("peer %q has no BFD profile %q, and a session", p.Name, p.BFDProfile)
		}
	}
	profiles := map[string]bool{}
	for _, b := range c.BFDProfiles {
		if profiles[b.Name] {
			t.Errorf("two BFD profiles %q", b.Name)
		}
		profiles[b.Name] = true
		for _, d := range []time.Duration{b.ReceiveInterval, b.TransmitInterval, b.EchoInterval} {
			if d < 10*time.Millisecond || d > time.Minute || b.DetectMultiplier < 2 || b.MinimumTTL == 0 {
				t.Errorf("BFD profile %+v", b)
			}
		}
	}
	for _, a := range c.Advertisements {
		if !slices.IsSorted(a.Pools) || slices.ContainsFunc(a.Pools, func(name string) bool { return c.Pool(name) == nil }) {
			t.Errorf("advertisement %q covers %v", a.Name, a.Pools)
		}
		if a.AggregationLength < 1 || a.AggregationLength > 32 || a.AggregationLengthV6 < 1 || a.AggregationLengthV6 > 128 {
			t.Errorf("advertisement %+v", a)
		}
		if !slices.IsSorted(a.Communities) || !slices.IsSortedFunc(a.LargeCommunities, pharos.LargeCommunity.Compare) {
			t.Errorf("advertisement %+v", a)
		}
	}
}
