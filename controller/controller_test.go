package controller

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/ipam"
	"github.com/pharoslb/pharos/why"
)

// run plays a story in a bubble with a clock of its own.
func run(t *testing.T, config *pharos.Config, services []*pharos.Service, story func(t *testing.T, w *world, c *Controller)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config, services...)
		c, stop := w.start(Options{})
		defer stop()
		story(t, w, c)
	})
}

func TestServiceGetsItsAddressInOneWrite(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, c *Controller) {
		w.put(svc("a"))
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{"default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.modify("a", func(s *pharos.Service) { s.Labels = map[string]string{"edited": "yes"} })
		w.expect(nil, nil)
		st := c.Status()
		want := []ServiceStatus{{Name: id("a"), Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.0")}, Pool: "pool0",
			Reason: why.New(why.IPAllocated, "assigned 192.0.2.0 from pool pool0"), Written: true}}
		if !slices.EqualFunc(st.Services, want, func(a, b ServiceStatus) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) || st.Waiting != 0 {
			t.Errorf("status is %+v", st)
		}
		if !slices.Equal(st.Pools, []ipam.Usage{{Pool: "pool0", Services: 1, IPv4: ipam.Count{Total: 16, Used: 1, Free: 15}}}) {
			t.Errorf("pools are %+v", st.Pools)
		}
	})
}

func TestNothingIsDecidedBeforeClusterAndConfigurationAreKnown(t *testing.T) {
	run(t, nil, []*pharos.Service{svc("a"), svc("old", has("p", "203.0.113.1"))}, func(t *testing.T, w *world, c *Controller) {
		w.expect(nil, []string{"config configMissing: there is no ConfigMap"})
		if st := c.Status(); st.Config.Loaded || !st.Config.Stale || st.Waiting != 1 {
			t.Errorf("status is %+v", st)
		}
		w.edit(func(next *pharos.Snapshot) { next.Synced = false })
		w.configure(config("192.0.2.0/28", "203.0.113.0/28"))
		w.expect(nil, nil)
		w.edit(func(next *pharos.Snapshot) { next.Synced = true })
		w.expect(
			[]string{"default/a 192.0.2.0 pool0", "default/old 203.0.113.1 pool1"},
			[]string{"config configLoaded: in force: 2 pools, 0 peers", "default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		if st := c.Status(); !st.Config.Loaded || st.Config.Stale || st.Waiting != 0 {
			t.Errorf("status is %+v", st)
		}
	})
}

func TestRestartGivesNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, config("192.0.2.0/24"))
		_, stop := w.start(Options{})
		for i := range 100 {
			w.put(svc(fmt.Sprint(i)))
		}
		synctest.Wait()
		stop()
		w.put(svc("new"))
		w.written, w.events = nil, nil
		_, stop = w.start(Options{})
		defer stop()
		w.expect([]string{"default/new 192.0.2.100 pool0"}, []string{"default/new IPAllocated: assigned 192.0.2.100 from pool pool0"})
	})
}

func TestBurst(t *testing.T) {
	run(t, config("10.0.0.0/16"), nil, func(t *testing.T, w *world, c *Controller) {
		w.took = 5 * time.Millisecond
		seen := map[netip.Addr]string{}
		for i := range 1000 {
			w.put(svc(fmt.Sprint(i)))
		}
		time.Sleep(time.Second)
		synctest.Wait()
		for i := range 1000 {
			s := w.get(fmt.Sprint(i))
			if len(s.Ingress) != 1 || seen[s.Ingress[0]] != "" {
				t.Fatalf("%s has %v, as %s has", s.Name, s.Ingress, seen[s.Ingress[0]])
			}
			seen[s.Ingress[0]] = s.Name.Name
		}
		if len(w.written) != 1000 || w.most > maxWrites || w.most < 2 {
			t.Errorf("%d writes, up to %d at a time, want 1000 and at most %d", len(w.written), w.most, maxWrites)
		}
	})
}

func TestDeletionWritesOnlyToWhoWaits(t *testing.T) {
	run(t, config("192.0.2.0/30"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("a"), svc("b"), svc("c"), svc("d"))
		synctest.Wait()
		w.written, w.events = nil, nil
		w.put(svc("e", func(s *pharos.Service) { s.Created = time.Unix(9, 0) }), svc("f", func(s *pharos.Service) { s.Created = time.Unix(8, 0) }))
		w.expect(nil, []string{
			"default/e AllocationFailed: no free IPv4 address in pool pool0", "default/f AllocationFailed: no free IPv4 address in pool pool0"})
		w.drop("b")
		w.expect([]string{"default/f 192.0.2.1 pool0"}, []string{"default/f IPAllocated: assigned 192.0.2.1 from pool pool0"})
		w.drop("e")
		w.drop("a")
		w.expect(nil, nil)
	})
}

// A Service that was written to is not written to again before its new version
// shows up, and not after.
func TestEchoCausesNoSecondWrite(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.deaf = true
		w.put(svc("a"))
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{"default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.put(svc("b"))
		w.configure(config("192.0.2.0/27"))
		w.expect([]string{"default/b 192.0.2.1 pool0"}, []string{
			"config configLoaded: in force: 1 pool, 0 peers", "default/b IPAllocated: assigned 192.0.2.1 from pool pool0"})
		w.echo()
		w.expect(nil, nil)
	})
}

func TestDeletedAndMadeAgain(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("a"), svc("b"))
		synctest.Wait()
		w.written, w.events = nil, nil
		again := svc("b")
		again.UID = "another"
		w.drop("a")
		w.put(again)
		w.expect([]string{"default/b 192.0.2.0 pool0"}, []string{"default/b IPAllocated: assigned 192.0.2.0 from pool pool0"})
	})
}

func TestStatusThatSomebodyElseWroteIsAdoptedOrMended(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("a"), svc("b"))
		synctest.Wait()
		w.written, w.events = nil, nil
		w.modify("a", has(""))
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{"default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		w.modify("a", has("pool0", "192.0.2.9"))
		w.expect(nil, nil)
		w.modify("a", has("pool0", "192.0.2.1"))
		w.expect([]string{"default/a 192.0.2.9 pool0"}, []string{
			"default/a ClearAssignment: 192.0.2.1 is taken back: 192.0.2.1 is in use by default/b",
			"default/a IPAllocated: assigned 192.0.2.9 from pool pool0"})
	})
}

func TestTypeAndClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		class := func(c string) func(*pharos.Service) { return func(s *pharos.Service) { s.Class = c } }
		w := newWorld(t, config("192.0.2.0/28"),
			svc("other", class("other"), has("theirs", "203.0.113.1")), svc("none", has("pool0", "192.0.2.4")), svc("mine", class("mine")))
		c, stop := w.start(Options{Class: "mine"})
		defer stop()
		w.expect([]string{"default/mine 192.0.2.0 pool0"}, []string{"default/mine IPAllocated: assigned 192.0.2.0 from pool pool0"})
		for _, s := range c.Status().Services {
			if (s.Name == id("mine")) == (s.Reason.Code == why.ClassMismatch) {
				t.Errorf("%s: %s", s.Name, s.Reason)
			}
		}
		// The API server clears the addresses itself, the annotation is ours.
		w.modify("mine", class(""), has("pool0"), func(s *pharos.Service) { s.Type = pharos.ClusterIP })
		w.put(svc("next", class("mine")))
		w.expect([]string{"default/mine", "default/next 192.0.2.0 pool0"}, []string{"default/next IPAllocated: assigned 192.0.2.0 from pool pool0"})
	})
}

func TestImpossibleRequestTouchesNothingElse(t *testing.T) {
	run(t, config("192.0.2.0/28"), []*pharos.Service{svc("a", has("pool0", "192.0.2.0"))}, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("b", func(s *pharos.Service) { s.Requested = []netip.Addr{netip.MustParseAddr("192.0.2.0")} }))
		w.put(svc("c", func(s *pharos.Service) { s.Refused = why.New(why.LoadBalancerFailed, "both are given") }))
		w.expect(nil, []string{"default/b AllocationFailed: 192.0.2.0 is in use by default/a", "default/c LoadBalancerFailed: both are given"})
		w.modify("b", func(s *pharos.Service) { s.Labels = map[string]string{"edited": "yes"} })
		w.expect(nil, nil) // said once
		w.drop("a")
		w.expect([]string{"default/b 192.0.2.0 pool0"}, []string{"default/b IPAllocated: assigned 192.0.2.0 from pool pool0"})
	})
}

func TestDeprecatedAnnotationIsToldOnce(t *testing.T) {
	old := func(s *pharos.Service) { s.DeprecatedAnnotations = true }
	run(t, config("192.0.2.0/28"), []*pharos.Service{svc("before", old, has("pool0", "192.0.2.9"))}, func(t *testing.T, w *world, _ *Controller) {
		w.expect(nil, nil)
		w.put(svc("a", old))
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{
			"default/a IPAllocated: assigned 192.0.2.0 from pool pool0",
			"default/a deprecatedAnnotation: the annotation's prefix metallb.universe.tf/ is deprecated, use metallb.io/"})
	})
}

func TestUnknownDataPlaneModeIsToldOnce(t *testing.T) {
	refused := why.New(why.DataPlaneModeInvalid, "no mode")
	run(t, config("192.0.2.0/28"), []*pharos.Service{svc("a", has("pool0", "192.0.2.9"))}, func(t *testing.T, w *world, _ *Controller) {
		w.expect(nil, nil)
		for range 2 {
			w.modify("a", func(s *pharos.Service) { s.ModeRefused = refused })
			w.expect(nil, []string{"default/a dataPlaneModeInvalid: no mode"})
			w.modify("a", func(s *pharos.Service) { s.Labels = map[string]string{"edited": "yes"} })
			w.expect(nil, nil) // said once
			w.modify("a", func(s *pharos.Service) { s.ModeRefused = why.Reason{} })
			w.expect(nil, nil)
		}
	})
}

func TestConfigurationThatOrphansIsRefusedUntilItDoesNot(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, c *Controller) {
		w.put(svc("a"), svc("b"))
		synctest.Wait()
		w.written, w.events = nil, nil
		w.configure(config("198.51.100.0/28"))
		w.expect(nil, []string{"config configOrphansAddress: address 192.0.2.0 of Service default/a would be in no pool, and 1 more; delete the Service or keep the range"})
		if st := c.Status(); !st.Config.Loaded || !st.Config.Stale || st.Config.Reason.Code != why.ConfigOrphans {
			t.Errorf("status is %+v", st.Config)
		}
		w.put(svc("c")) // life goes on with the old one
		w.expect([]string{"default/c 192.0.2.2 pool0"}, []string{"default/c IPAllocated: assigned 192.0.2.2 from pool pool0"})
		w.drop("c")
		w.drop("b")
		w.expect(nil, nil)
		w.modify("a", func(s *pharos.Service) { s.Type = pharos.ClusterIP; s.Ingress = nil })
		w.put(svc("d"))
		w.expect([]string{"default/a", "default/d 198.51.100.0 pool0"}, []string{
			"config configLoaded: in force: 1 pool, 0 peers", "default/d IPAllocated: assigned 198.51.100.0 from pool pool0"})
		if st := c.Status(); st.Config.Stale {
			t.Errorf("status is %+v", st.Config)
		}
	})
}

func TestEditGivesWhatTheRefusedConfigurationWaitsFor(t *testing.T) {
	run(t, config("192.0.2.0/28", "198.51.100.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.put(svc("a"))
		synctest.Wait()
		next := config("203.0.113.0/28", "198.51.100.0/28")
		w.configure(next)
		synctest.Wait()
		w.written, w.events = nil, nil
		w.modify("a", func(s *pharos.Service) { s.RequestedPool = "pool1" })
		w.expect([]string{"default/a 198.51.100.0 pool1"}, []string{
			"config configLoaded: in force: 2 pools, 0 peers",
			"default/a ClearAssignment: 192.0.2.0 is taken back: 192.0.2.0 is in pool pool0, not in pool1 as requested",
			"default/a IPAllocated: assigned 198.51.100.0 from pool pool1"})
	})
}

func TestBrokenConfigurationKeepsTheLastGoodOne(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, c *Controller) {
		broken := why.New(why.ConfigInvalid, "line 3: peers[0].my-asn: is missing")
		w.edit(func(next *pharos.Snapshot) { next.Problem = broken })
		w.put(svc("a"))
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{
			"config configInvalid: line 3: peers[0].my-asn: is missing", "default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		if st := c.Status(); !st.Config.Loaded || !st.Config.Stale || st.Config.Reason != broken {
			t.Errorf("status is %+v", st.Config)
		}
		w.configure(config("192.0.2.0/28")) // mended: the same as before
		w.expect(nil, nil)
		if st := c.Status(); st.Config.Stale {
			t.Errorf("status is %+v", st.Config)
		}
	})
}

func TestRefusedWriteIsTriedAgainAndHoldsUpNobody(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		tries := 0
		w.refuse = func(s *pharos.Service) error {
			if s.Name == id("a") {
				tries++
				if tries < 6 {
					return errors.New("forbidden")
				}
			}
			return nil
		}
		w.put(svc("a"), svc("b"))
		w.expect([]string{"default/b 192.0.2.1 pool0"}, []string{"default/b IPAllocated: assigned 192.0.2.1 from pool pool0"})
		start := time.Now()
		for w.get("a").Ingress == nil && time.Since(start) < time.Minute {
			time.Sleep(time.Millisecond)
		}
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{"default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
		if took := time.Since(start).Round(5 * time.Millisecond); took != 775*time.Millisecond { // 25+50+100+200+400
			t.Errorf("the sixth try comes after %s", took)
		}
	})
}

func TestEditedServiceDoesNotWaitForItsBackOff(t *testing.T) {
	run(t, config("192.0.2.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.refuse = func(s *pharos.Service) error {
			if s.Labels == nil {
				return errors.New("invalid")
			}
			return nil
		}
		w.put(svc("a"))
		time.Sleep(time.Minute)
		w.expect(nil, nil)
		w.modify("a", func(s *pharos.Service) { s.Labels = map[string]string{"mended": "yes"} })
		w.expect([]string{"default/a 192.0.2.0 pool0"}, []string{"default/a IPAllocated: assigned 192.0.2.0 from pool pool0"})
	})
}

func TestWriteUponAnOlderVersionIsDecidedAnew(t *testing.T) {
	run(t, config("192.0.2.0/28", "198.51.100.0/28"), nil, func(t *testing.T, w *world, _ *Controller) {
		w.took = 10 * time.Millisecond
		w.put(svc("a"))
		time.Sleep(5 * time.Millisecond)
		w.modify("a", func(s *pharos.Service) { s.RequestedPool = "pool1" })
		time.Sleep(30 * time.Millisecond)
		w.expect([]string{"default/a 198.51.100.0 pool1"}, []string{"default/a IPAllocated: assigned 198.51.100.0 from pool pool1"})
	})
}

// While the API server is gone it is left in peace, and found soon when it is
// back.
func TestAPIServerGone(t *testing.T) {
	run(t, config("10.0.0.0/16"), nil, func(t *testing.T, w *world, c *Controller) {
		tries := 0
		w.refuse = func(*pharos.Service) error {
			tries++
			return fmt.Errorf("write: %w", gone{errors.New("connection refused")})
		}
		for i := range 300 {
			w.put(svc(fmt.Sprint(i)))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if tries < 590 || tries > 640 {
			t.Errorf("%d requests in ten minutes, want about one a second", tries)
		}
		w.mu.Lock()
		w.refuse = nil
		w.mu.Unlock()
		time.Sleep(maxPause + time.Millisecond)
		synctest.Wait()
		if len(w.written) != 300 {
			t.Errorf("a second after the API server is back, %d of 300 are written", len(w.written))
		}
		if st := c.Status(); st.Writes.Written != 300 || st.Writes.Queued != 0 || st.Writes.Failed != uint64(tries) {
			t.Errorf("status is %+v", st.Writes)
		}
	})
}

// The work follows the change: with 5,000 Services present, one more costs no
// look at the others.
func BenchmarkOneMore(b *testing.B) {
	for _, n := range []int{10, 5000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			k := newCore("")
			snap := &pharos.Snapshot{Synced: true, Config: config("10.0.0.0/8")}
			for i := range n {
				s := svc(fmt.Sprint(i))
				snap.Services = snap.Services.With(s.Name, s)
			}
			k.reconcile(time.Time{}, snap)
			one := svc("one-more")
			b.ReportAllocs()
			for b.Loop() {
				with, without := *snap, *snap
				with.Services = snap.Services.With(one.Name, one)
				if fx := k.reconcile(time.Time{}, &with); len(fx.dirty) != 1 {
					b.Fatalf("got %+v", fx)
				}
				k.reconcile(time.Time{}, &without)
			}
		})
	}
}
