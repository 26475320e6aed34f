package controller

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// afterMetalLB is a cluster as MetalLB leaves it: every pool and Service that it
// allows, in the states in which it lets them rest.
func afterMetalLB() (*pharos.Config, []*pharos.Service) {
	label := func(value string) []pharos.Selector {
		return []pharos.Selector{{{Key: "app", Operator: pharos.In, Values: []string{value}}}}
	}
	// 0: open, 1: manual, 2: pinned, 3: both families, 4: IPv6 alone.
	cfg := resources("192.0.2.0/24", "198.51.100.0/28", "203.0.113.0/28", "10.9.0.0/28", "2001:db8:1::/64")
	cfg.Pools[0].AvoidBuggyIPs = true
	cfg.Pools[1].ManualOnly = true
	cfg.Pools[2].Allocation = &pharos.Allocation{Priority: 1, Namespaces: []string{"default"}, ServiceSelectors: label("pinned")}
	cfg.Pools[3].Ranges = append(cfg.Pools[3].Ranges, pharos.PrefixRange(netip.MustParsePrefix("2001:db8::/64")))

	asks := func(addrs ...string) func(*pharos.Service) {
		return func(s *pharos.Service) {
			for _, a := range addrs {
				s.Requested = append(s.Requested, netip.MustParseAddr(a))
			}
		}
	}
	named := func(pool string) func(*pharos.Service) { return func(s *pharos.Service) { s.RequestedPool = pool } }
	six := func(s *pharos.Service) { s.ClusterIPs = []netip.Addr{netip.MustParseAddr("fd00::1")} }
	dual := func(s *pharos.Service) {
		s.DualStack = true
		s.ClusterIPs = append(s.ClusterIPs, netip.MustParseAddr("fd00::1"))
	}
	require := func(s *pharos.Service) { s.RequireDualStack = true }
	shares := func(key string, port uint16) func(*pharos.Service) {
		return func(s *pharos.Service) {
			s.SharingKey, s.Ports = key, []pharos.ServicePort{{Protocol: pharos.TCP, Port: port}}
		}
	}
	local := func(selector string) func(*pharos.Service) {
		return func(s *pharos.Service) { s.ExternalLocal, s.Selector = true, selector }
	}
	pinned := func(s *pharos.Service) { s.Labels = map[string]string{"app": "pinned"} }
	young := func(s *pharos.Service) { s.Created = time.Unix(9, 0) }
	return cfg, []*pharos.Service{
		svc("random", has("pool0", "192.0.2.77")), // MetalLB's order is not ours
		svc("first", young, has("pool0", "192.0.2.1")),
		svc("asked", asks("192.0.2.200"), has("pool0", "192.0.2.200")),
		svc("manual", asks("198.51.100.0"), has("pool1", "198.51.100.0")),
		svc("manual, named", named("pool1"), has("pool1", "198.51.100.9")),
		svc("no longer named", has("pool1", "198.51.100.3")),
		svc("pinned", pinned, has("pool2", "203.0.113.0")),
		svc("pinned since", pinned, has("pool0", "192.0.2.9")), // the pool came later
		svc("six", six, has("pool4", "2001:db8:1::5")),
		svc("six of two", six, has("pool3", "2001:db8::5")),
		svc("dual", dual, require, has("pool3", "10.9.0.1", "2001:db8::1")),
		svc("dual, the other way round", dual, has("pool3", "2001:db8::7", "10.9.0.7")),
		svc("dual, asked", dual, asks("2001:db8::9", "10.9.0.9"), has("pool3", "10.9.0.9", "2001:db8::9")),
		svc("share 80", shares("k", 80), has("pool0", "192.0.2.30")),
		svc("share 443", shares("k", 443), young, has("pool0", "192.0.2.30")),
		svc("share alone", shares("k", 22), has("pool0", "192.0.2.31")), // the sharers came later
		svc("local 80", shares("l", 80), local("app=x"), has("pool0", "192.0.2.32")),
		svc("local 81", shares("l", 81), local("app=x"), has("pool0", "192.0.2.32")),
		svc("contradicts itself", has("pool0", "192.0.2.40"), func(s *pharos.Service) { s.Refused = why.New(why.LoadBalancerFailed, "twice") }),
		svc("cluster IP", func(s *pharos.Service) { s.Type = pharos.ClusterIP }),
		svc("another class", has("theirs", "192.0.2.1"), func(s *pharos.Service) { s.Class = "other" }),
		svc("one of two", dual, has("pool0", "192.0.2.50")), // pool0 has no IPv6, and MetalLB looks no further
	}
}

// What MetalLB leaves behind is taken over without a single write, however often
// the controller starts.
func TestTakingMetalLBsPlaceWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, services := afterMetalLB()
		w := newWorld(t, cfg, services...)
		for range 3 {
			_, stop := w.start(Options{})
			w.expect(nil, []string{
				"default/contradicts itself LoadBalancerFailed: twice",
				"default/one of two AdditionalAssignFailed: no free IPv6 address in pool pool0, to go with 192.0.2.50"})
			stop()
		}
		if changes, reason := Preview(Options{}, w.Snapshot()); len(changes) > 0 || reason.Code != why.OK {
			t.Errorf("Preview has %+v, %s", changes, reason)
		}
	})
}

// v0.9.5 noted no pool: the annotation is added, the address stays.
func TestTakingThePlaceOfTheConfigMapsMetalLB(t *testing.T) {
	run(t, config("192.0.2.0/28"), []*pharos.Service{svc("a", has("", "192.0.2.7")), svc("b", has("", "192.0.2.3"))}, func(t *testing.T, w *world, _ *Controller) {
		w.expect([]string{"default/a 192.0.2.7 pool0", "default/b 192.0.2.3 pool0"}, nil)
	})
}
