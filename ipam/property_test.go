package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

// cluster is the model that the property test plays against: the Services with
// the statuses that were written.
type cluster struct {
	pools    []pharos.Pool
	services map[pharos.Name]*pharos.Service
	alloc    *Allocator
	had      map[string][]netip.Addr // UID → what it had at the last check
}

// write puts outcomes into statuses, as the controller does; some are seen only
// later.
func (c *cluster) write(rng *rand.Rand, outcomes []Outcome) {
	for _, o := range outcomes {
		if rng.IntN(4) == 0 {
			continue
		}
		s := *c.services[o.Service.Name]
		if slices.Equal(s.Ingress, o.Addrs) {
			continue
		}
		s.Ingress, s.AllocatedFrom = o.Addrs, o.Pool
		c.services[s.Name] = &s
		c.alloc.Update([]*pharos.Service{&s}, nil)
	}
}

// check holds the Allocator to its promises by brute force.
func (c *cluster) check(t *testing.T) {
	t.Helper()
	users := map[netip.Addr][]*pharos.Service{}
	for n, s := range c.services {
		o, ok := c.alloc.Claim(n)
		if !ok || o.Service != s {
			t.Fatalf("%s: the claim is of %p, want %p", n, o.Service, s)
		}
		var from *pharos.Pool
		for _, a := range o.Addrs {
			for i := range c.pools {
				if c.pools[i].Contains(a) {
					from = &c.pools[i]
				}
			}
			if from == nil || from.Name != o.Pool {
				t.Fatalf("%s has %s of %q, which has no such address", n, a, o.Pool)
			}
			users[a] = append(users[a], s)
		}
		// What is kept, and a second family that comes later, may be of any pool.
		kept := slices.ContainsFunc(o.Addrs, func(a netip.Addr) bool {
			return slices.Contains(s.Ingress, a) || slices.Contains(c.had[s.UID], a)
		})
		if len(o.Addrs) > 0 && !kept && from.ManualOnly && s.RequestedPool != from.Name && len(s.Requested) == 0 {
			t.Fatalf("%s has an address of %s, which it did not ask for", n, from.Name)
		}
		if len(o.Addrs) > 0 && s.RequestedPool != "" && s.RequestedPool != o.Pool {
			t.Fatalf("%s has an address of %s, wants one of %s", n, o.Pool, s.RequestedPool)
		}
		if len(o.Addrs) > 0 && len(s.Requested) > 0 && !slices.Equal(s.Requested, o.Addrs) {
			t.Fatalf("%s has %v, wants %v", n, o.Addrs, s.Requested)
		}
	}
	for a, by := range users {
		for i, s := range by {
			for _, o := range by[:i] {
				if !mayShare(s, o) {
					t.Fatalf("%s is given to %s and %s", a, s.Name, o.Name)
				}
			}
		}
	}
	if held := c.alloc.InUse(); len(held) != len(users) {
		t.Fatalf("%d addresses are held, Services have %d", len(held), len(users))
	}
	var used uint64
	for _, u := range c.alloc.Usage() {
		used += u.UsedIPv4 + u.UsedIPv6
	}
	if used != uint64(len(users)) {
		t.Fatalf("usage counts %d addresses, Services have %d", used, len(users))
	}
	c.had = map[string][]netip.Addr{}
	for n, s := range c.services {
		o, _ := c.alloc.Claim(n)
		c.had[s.UID] = o.Addrs
	}
	// Nobody waits while there is an address to be had.
	for n, s := range c.services {
		o, _ := c.alloc.Claim(n)
		if len(o.Addrs) > 0 || o.Reason.Code != why.AllocationFailed {
			continue
		}
		for _, p := range c.pools {
			if s.RequestedPool != "" && s.RequestedPool != p.Name || s.RequestedPool == "" && p.ManualOnly && len(s.Requested) == 0 {
				continue
			}
			missing := false
			for _, ip := range s.ClusterIPs {
				missing = missing || !c.available(&p, s, ip.Is4(), users)
			}
			if !missing {
				t.Fatalf("%s waits (%s), but pool %s has an address", n, o.Reason, p.Name)
			}
		}
	}
}

func (c *cluster) available(p *pharos.Pool, s *pharos.Service, v4 bool, users map[netip.Addr][]*pharos.Service) bool {
	for _, r := range p.Ranges {
		if r.First.Is4() != v4 {
			continue
		}
		for a := r.First; r.Contains(a); a = a.Next() {
			if !p.Contains(a) || len(s.Requested) > 0 && !slices.Contains(s.Requested, a) {
				continue
			}
			if !slices.ContainsFunc(users[a], func(o *pharos.Service) bool { return !mayShare(s, o) }) {
				return true
			}
		}
	}
	return false
}

func mayShare(s, o *pharos.Service) bool {
	if s.SharingKey == "" || s.SharingKey != o.SharingKey {
		return false
	}
	backend := func(s *pharos.Service) string {
		if s.ExternalLocal {
			return s.Selector
		}
		return ""
	}
	if backend(s) != backend(o) {
		return false
	}
	return !slices.ContainsFunc(s.Ports, func(p pharos.ServicePort) bool {
		return slices.ContainsFunc(o.Ports, func(q pharos.ServicePort) bool { return p.Protocol == q.Protocol && p.Port == q.Port })
	})
}

func randomPools(rng *rand.Rand) []pharos.Pool {
	var pools []pharos.Pool
	ranges := []string{"192.0.2.252-192.0.3.2", "198.51.100.0/31", "203.0.113.6-203.0.113.9", "2001:db8::/126", "2001:db8:1::1-2001:db8:1::2"}
	rng.Shuffle(len(ranges), func(i, j int) { ranges[i], ranges[j] = ranges[j], ranges[i] })
	for i, n := range []string{"a", "b", "c"} {
		p := pool(n, ranges[i])
		if i == 0 {
			p = pool(n, ranges[0]+" "+ranges[3])
		}
		p.ManualOnly, p.AvoidBuggyIPs = rng.IntN(5) == 0, rng.IntN(2) == 0
		if rng.IntN(4) > 0 {
			pools = append(pools, p)
		}
	}
	return pools
}

func randomService(rng *rand.Rand, n int, uid int) *pharos.Service {
	s := svc(fmt.Sprint(n), created(rng.IntN(5)))
	s.UID = fmt.Sprint(uid)
	if rng.IntN(3) == 0 {
		s.SharingKey = []string{"k", "l"}[rng.IntN(2)]
		s.ExternalLocal, s.Selector = rng.IntN(3) == 0, []string{"x", "y"}[rng.IntN(2)]
	}
	s.Ports = nil
	for range 1 + rng.IntN(2) {
		s.Ports = append(s.Ports, pharos.ServicePort{Protocol: pharos.TCP, Port: uint16(1 + len(s.Ports)*4 + rng.IntN(4))})
	}
	switch rng.IntN(4) {
	case 0:
		s.ClusterIPs = addrs("fd00::9")
	case 1:
		prefer(s)
		s.RequireDualStack = rng.IntN(2) == 0
	}
	if rng.IntN(4) == 0 {
		s.RequestedPool = []string{"a", "b", "c"}[rng.IntN(3)]
	}
	if rng.IntN(5) == 0 && len(s.ClusterIPs) == 1 {
		s.Requested = addrs([]string{"198.51.100.0", "192.0.2.255", "192.0.3.1", "2001:db8::1"}[rng.IntN(4)])
	}
	return s
}

// Whatever is created, deleted, edited, reconfigured and restarted, no address is
// given twice, nobody waits without need, and a restart changes nothing that was
// written.
func TestAnySequence(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 7))
		c := &cluster{services: map[pharos.Name]*pharos.Service{}, alloc: New()}
		c.pools = randomPools(rng)
		c.alloc.SetPools(c.pools)
		for step := range 150 {
			n := rng.IntN(14)
			id := name(fmt.Sprint(n))
			switch op := rng.IntN(20); {
			case op < 8: // create, or delete and create at once
				s := randomService(rng, n, step)
				c.services[id] = s
				c.write(rng, c.alloc.Update([]*pharos.Service{s}, nil))
			case op < 13:
				if c.services[id] != nil {
					delete(c.services, id)
					c.write(rng, c.alloc.Update(nil, []pharos.Name{id}))
				}
			case op < 17: // edit
				if old := c.services[id]; old != nil {
					s := randomService(rng, n, 0)
					s.UID, s.Created, s.Ingress, s.AllocatedFrom = old.UID, old.Created, old.Ingress, old.AllocatedFrom
					c.services[id] = s
					c.write(rng, c.alloc.Update([]*pharos.Service{s}, nil))
				}
			case op < 18:
				c.pools = randomPools(rng)
				c.write(rng, c.alloc.SetPools(c.pools))
			default: // restart: the statuses are all that is left
				old := c.alloc
				written := map[pharos.Name][]netip.Addr{}
				var all []*pharos.Service
				for n, s := range c.services {
					if o, _ := old.Claim(n); len(o.Addrs) > 0 && slices.Equal(o.Addrs, s.Ingress) {
						written[n] = s.Ingress
					}
					all = append(all, s)
				}
				whole := len(written) == len(c.services)
				c.alloc = New()
				c.alloc.SetPools(c.pools)
				out := c.alloc.Update(all, nil)
				for _, o := range out {
					if whole && !slices.Equal(o.Addrs, written[o.Service.Name]) && len(o.Addrs) <= len(written[o.Service.Name]) {
						t.Fatalf("seed %d: a restart moves %s from %v to %v", seed, o.Service.Name, written[o.Service.Name], o.Addrs)
					}
				}
				c.write(rng, out)
			}
			c.check(t)
		}
	}
}

// The order in which a batch is listed makes no difference.
func TestOutcomeDoesNotDependOnTheOrderOfABatch(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 11))
		pools := randomPools(rng)
		var batch []*pharos.Service
		for i := range 12 {
			s := randomService(rng, i, i)
			if rng.IntN(3) == 0 {
				s.Ingress = addrs([]string{"198.51.100.0", "192.0.2.255", "2001:db8::1"}[rng.IntN(3)])
			}
			batch = append(batch, s)
		}
		var want map[string]string
		for range 5 {
			rng.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
			rng.Shuffle(len(pools), func(i, j int) { pools[i], pools[j] = pools[j], pools[i] })
			a := New()
			a.SetPools(pools)
			got := map[string]string{}
			for _, o := range a.Update(slices.Clone(batch), nil) {
				got[o.Service.Name.Name] = render(o)
			}
			if want == nil {
				want = got
			}
			for n, text := range got {
				if text != want[n] {
					t.Fatalf("seed %d: %s gets %s, before %s", seed, n, text, want[n])
				}
			}
		}
	}
}

// 50,000 Services come one by one, each second one goes, and as many come again.
func BenchmarkFiftyThousand(b *testing.B) {
	const n = 50_000
	services := make([]*pharos.Service, n)
	for i := range services {
		services[i] = svc(fmt.Sprint(i))
	}
	for _, c := range []struct {
		name string
		edit func(i int, s *pharos.Service)
	}{
		{"alone", func(int, *pharos.Service) {}},
		{"one sharing key and port", func(_ int, s *pharos.Service) { s.SharingKey = "k" }},
		{"hundred to an address", func(i int, s *pharos.Service) {
			s.SharingKey = "k"
			s.Ports = []pharos.ServicePort{{Protocol: pharos.TCP, Port: uint16(i%100 + 1)}}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			for i, s := range services {
				s.SharingKey = ""
				c.edit(i, s)
			}
			b.ReportAllocs()
			for b.Loop() {
				a := New()
				a.SetPools([]pharos.Pool{pool("ten", "10.0.0.0/8")})
				for _, s := range services {
					a.Update([]*pharos.Service{s}, nil)
				}
				for i := 0; i < n; i += 2 {
					a.Update(nil, []pharos.Name{services[i].Name})
				}
				for i := 0; i < n; i += 2 {
					if out := a.Update([]*pharos.Service{services[i]}, nil); len(out[0].Addrs) != 1 {
						b.Fatal(out)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(2*n), "ns/change")
		})
	}
}
