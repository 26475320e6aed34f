package controller

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// resources makes a configuration as resources do.
func resources(ranges ...string) *pharos.Config {
	c := config(ranges...)
	c.Reassign = true
	return c
}

// The gate holds over a restart: what was given out is in the statuses.
func TestConfigurationThatOrphansIsRefusedAfterARestartToo(t *testing.T) {
	run(t, config("198.51.100.0/28"), []*pharos.Service{
		svc("a", has("gone", "192.0.2.7")), svc("b"), svc("foreign", has("", "203.0.113.7")),
	}, func(t *testing.T, w *world, _ *Controller) {
		w.expect(nil, []string{"config configOrphansAddress: address 192.0.2.7 of Service default/a would be in no pool; delete the Service or keep the range"})
		w.drop("a")
		w.expect([]string{"default/b 198.51.100.0 pool0", "default/foreign 198.51.100.1 pool0"}, []string{
			"config configLoaded: in force: 1 pool, 0 peers",
			"default/b IPAllocated: assigned 198.51.100.0 from pool pool0",
			"default/foreign ClearAssignment: 203.0.113.7 is taken back: 203.0.113.7 is in no pool",
			"default/foreign IPAllocated: assigned 198.51.100.1 from pool pool0"})
	})
}

func TestResourcesGiveOrphansOtherAddresses(t *testing.T) {
	run(t, resources("192.0.2.0/31"), []*pharos.Service{svc("a", has("pool0", "192.0.2.0")), svc("b", has("pool0", "192.0.2.1"))}, func(t *testing.T, w *world, _ *Controller) {
		w.expect(nil, nil)
		w.configure(resources("198.51.100.4/32"))
		w.expect([]string{"default/a 198.51.100.4 pool0", "default/b"}, []string{
			"config configLoaded: in force: 1 pool, 0 peers",
			"default/a ClearAssignment: 192.0.2.0 is taken back: 192.0.2.0 is in no pool",
			"default/a IPAllocated: assigned 198.51.100.4 from pool pool0",
			"default/b AllocationFailed: no free IPv4 address in pool pool0",
			"default/b ClearAssignment: 192.0.2.1 is taken back: 192.0.2.1 is in no pool"})
	})
	run(t, resources("198.51.100.4/32"), []*pharos.Service{svc("a", has("pool0", "192.0.2.0"))}, func(t *testing.T, w *world, _ *Controller) {
		w.expect([]string{"default/a 198.51.100.4 pool0"}, []string{
			"default/a ClearAssignment: 192.0.2.0 is taken back: 192.0.2.0 is in no pool",
			"default/a IPAllocated: assigned 198.51.100.4 from pool pool0"})
	})
}

// A list without a pool, be it at a start, is no order to clear every status.
func TestNoPoolsClearNothing(t *testing.T) {
	const refused = "config configOrphansAddress: address 192.0.2.0 of Service default/a would be in no pool; delete the Service or keep the range"
	run(t, resources("192.0.2.0/31"), []*pharos.Service{svc("a", has("pool0", "192.0.2.0"))}, func(t *testing.T, w *world, c *Controller) {
		w.expect(nil, nil)
		w.configure(resources())
		w.put(svc("b"))
		w.expect([]string{"default/b 192.0.2.1 pool0"}, []string{refused, "default/b IPAllocated: assigned 192.0.2.1 from pool pool0"})
		if st := c.Status(); !st.Config.Stale {
			t.Errorf("status is %+v", st.Config)
		}
	})
	run(t, resources(), []*pharos.Service{svc("a", has("pool0", "192.0.2.0"))}, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("b"))
		w.expect(nil, []string{refused})
		w.drop("a")
		w.expect(nil, []string{"config configLoaded: in force: 0 pools, 0 peers", "default/b AllocationFailed: no pool is configured"})
	})
}

func TestNamespaceLabels(t *testing.T) {
	team := func(value string) func(*pharos.Snapshot) {
		return func(next *pharos.Snapshot) {
			next.Namespaces = next.Namespaces.With("default", &pharos.Namespace{Name: "default", Labels: map[string]string{"team": value}})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		cfg := resources("192.0.2.0/31", "198.51.100.0/31")
		cfg.Pools[0].Allocation = &pharos.Allocation{NamespaceSelectors: []pharos.Selector{{{Key: "team", Operator: pharos.In, Values: []string{"red"}}}}}
		w := newWorld(t, cfg, svc("a", has("pool0", "192.0.2.1")), svc("b"))
		w.edit(team("red"))
		_, stop := w.start(Options{})
		defer stop()
		w.expect([]string{"default/b 192.0.2.0 pool0"}, []string{"default/b IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.edit(team("blue"))
		w.expect([]string{"default/a 198.51.100.0 pool1", "default/b 198.51.100.1 pool1"}, []string{
			`default/a ClearAssignment: 192.0.2.1 is taken back: pool pool0 is for other namespaces than default: those labeled "team in (red)"`,
			"default/a IPAllocated: assigned 198.51.100.0 from pool pool1",
			`default/b ClearAssignment: 192.0.2.0 is taken back: pool pool0 is for other namespaces than default: those labeled "team in (red)"`,
			"default/b IPAllocated: assigned 198.51.100.1 from pool pool1"})
		w.put(svc("c"))
		w.expect(nil, []string{"default/c AllocationFailed: no free IPv4 address in pool pool1"})
		w.edit(team("red")) // what is held is kept
		w.expect([]string{"default/c 192.0.2.0 pool0"}, []string{"default/c IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.edit(func(next *pharos.Snapshot) { next.Namespaces = next.Namespaces.Without("default") })
		w.expect([]string{"default/c"}, []string{
			"default/c AllocationFailed: no free IPv4 address in pool pool1",
			`default/c ClearAssignment: 192.0.2.0 is taken back: pool pool0 is for other namespaces than default: those labeled "team in (red)"`})
	})
}

// Who waits for an address that cools down is served when it has.
func TestCoolDownEnds(t *testing.T) {
	cfg := resources("192.0.2.0/32")
	cfg.Pools[0].CoolDown = 10 * time.Minute
	run(t, cfg, []*pharos.Service{svc("a", has("pool0", "192.0.2.0"))}, func(t *testing.T, w *world, c *Controller) {
		synctest.Wait()
		w.drop("a")
		w.put(svc("b"))
		w.expect(nil, []string{"default/b AllocationFailed: no free IPv4 address in pool pool0; what was given back of pool pool0 cools down for 10m0s"})
		if st := c.Status(); st.Pools[0].IPv4.Cooling != 1 || st.Pools[0].IPv4.Free != 0 {
			t.Errorf("usage is %+v", st.Pools)
		}
		time.Sleep(10*time.Minute - time.Second)
		w.expect(nil, nil)
		time.Sleep(time.Second)
		w.expect([]string{"default/b 192.0.2.0 pool0"}, []string{"default/b IPAllocated: assigned 192.0.2.0 from pool pool0"})
	})
}

// Two addresses of one pool, with its name beside them, are what MetalLB leaves
// of a dual-stack Service. One that is topped up from another pool keeps the
// name of the first.
func TestDualStackKeepsWhatMetalLBWrote(t *testing.T) {
	dual := func(s *pharos.Service) {
		s.DualStack = true
		s.ClusterIPs = append(s.ClusterIPs, netip.MustParseAddr("fd00::9"))
	}
	cfg := resources("192.0.2.0/28", "198.51.100.0/28", "2001:db8:1::/126")
	cfg.Pools[1].Ranges = append(cfg.Pools[1].Ranges, pharos.PrefixRange(netip.MustParsePrefix("2001:db8::/126")))
	run(t, cfg, []*pharos.Service{
		svc("a", dual, has("pool1", "2001:db8::2", "198.51.100.9")),
		svc("b", dual, has("pool1", "198.51.100.3", "2001:db8::1")),
	}, func(t *testing.T, w *world, _ *Controller) {
		w.expect(nil, nil)
		w.put(svc("c", dual, has("pool0", "192.0.2.5")), svc("d"))
		w.expect([]string{"default/d 192.0.2.0 pool0"}, []string{
			"default/c AdditionalAssignFailed: no free IPv6 address in pool pool0, to go with 192.0.2.5",
			"default/d IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.drop("d")
		w.expect([]string{"default/c 192.0.2.5,2001:db8:: pool0"}, []string{"default/c IPAllocated: assigned 192.0.2.5 from pool pool0 and 2001:db8:: from pool pool1"})
	})
}

func TestPreview(t *testing.T) {
	cfg := resources("192.0.2.0/28", "198.51.100.0/28")
	cfg.Pools[0].Allocation = &pharos.Allocation{Namespaces: []string{"shop"}}
	snap := &pharos.Snapshot{Synced: true, Config: cfg}
	for _, s := range []*pharos.Service{
		svc("kept", has("pool1", "198.51.100.3")),
		svc("moves", has("pool0", "192.0.2.3")),
		svc("noted", has("", "198.51.100.4")),
		svc("new"),
		svc("stuck", func(s *pharos.Service) { s.RequestedPool = "pool9" }),
		svc("other", has("theirs", "203.0.113.1"), func(s *pharos.Service) { s.Class = "other" }),
	} {
		snap.Services = snap.Services.With(s.Name, s)
	}
	changes, reason := Preview(Options{}, snap)
	if reason.Code != why.OK {
		t.Errorf("the configuration is not in force: %s", reason)
	}
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s %v %s %v %s moves %v lost %s", c.Service, c.Has, c.HasPool, c.Gets, c.GetsPool, c.Moves(), c.Lost.Code))
	}
	want := []string{
		"default/moves [192.0.2.3] pool0 [198.51.100.0] pool1 moves true lost ClearAssignment",
		"default/new []  [198.51.100.1] pool1 moves true lost ok",
		"default/noted [198.51.100.4]  [198.51.100.4] pool1 moves false lost ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q\nwant\n%q", got, want)
	}
	if _, reason := Preview(Options{}, &pharos.Snapshot{}); reason.Code != why.NotSynced {
		t.Errorf("of a cluster that is not known it is said: %s", reason)
	}
}
