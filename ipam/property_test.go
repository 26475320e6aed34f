package ipam

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
)

var teams = []string{"red", "blue", "shop"}

func randomPools(rng *rand.Rand) []pharos.Pool {
	var pools []pharos.Pool
	ranges := []string{"192.0.2.252-192.0.3.2", "198.51.100.0/31", "203.0.113.6-203.0.113.9", "2001:db8::/126", "2001:db8:1::1-2001:db8:1::2"}
	rng.Shuffle(len(ranges), func(i, j int) { ranges[i], ranges[j] = ranges[j], ranges[i] })
	reserved := map[[2]any]bool{}
	for i, n := range []string{"a", "b", "c"} {
		p := pool(n, ranges[i])
		if i == 0 {
			p = pool(n, ranges[0]+" "+ranges[3])
		}
		p.ManualOnly, p.AvoidBuggyIPs = rng.IntN(5) == 0, rng.IntN(2) == 0
		if rng.IntN(3) == 0 {
			p.CoolDown = time.Duration(1+rng.IntN(20)) * time.Second
		}
		if rng.IntN(3) == 0 {
			p.Allocation = randomAllocation(rng)
		}
		for rng.IntN(2) == 0 {
			r := p.Ranges[rng.IntN(len(p.Ranges))]
			who := pharos.Name{Namespace: teams[rng.IntN(3)], Name: fmt.Sprint(rng.IntN(5))}
			// As the parser has it: one of each family.
			if key := [2]any{who, familyOf(r.First)}; p.Contains(r.First) && !reserved[key] {
				reserved[key] = true
				p.Reservations = append(p.Reservations, pharos.Reservation{Service: who, Addr: r.First})
			}
		}
		if rng.IntN(3) == 0 {
			p.Quota = map[string]int{[]string{"red", "blue", pharos.AnyNamespace}[rng.IntN(3)]: rng.IntN(4)}
		}
		if rng.IntN(4) > 0 {
			pools = append(pools, p)
		}
	}
	return pools
}

func randomAllocation(rng *rand.Rand) *pharos.Allocation {
	label := func(key string) []pharos.Selector {
		return []pharos.Selector{{{Key: key, Operator: pharos.In, Values: []string{"x"}}}}
	}
	a := &pharos.Allocation{Priority: rng.IntN(3)}
	if rng.IntN(2) == 0 {
		a.Namespaces = []string{teams[rng.IntN(3)]}
	}
	if rng.IntN(2) == 0 {
		a.NamespaceSelectors = label("ns")
	}
	if rng.IntN(3) == 0 {
		a.ServiceSelectors = label("svc")
	}
	return a
}

func randomNamespace(rng *rand.Rand, name string) *pharos.Namespace {
	return &pharos.Namespace{Name: name, Labels: map[string]string{"ns": []string{"x", "y"}[rng.IntN(2)]}}
}

// nth is the name of the nth Service.
func nth(n int) pharos.Name { return pharos.Name{Namespace: teams[n%3], Name: fmt.Sprint(n / 3)} }

func randomService(rng *rand.Rand, n int, uid int) *pharos.Service {
	s := svc("", created(rng.IntN(5)))
	s.Name = nth(n)
	s.UID = fmt.Sprint(uid)
	s.Labels = map[string]string{"svc": []string{"x", "y"}[rng.IntN(2)]}
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
	if rng.IntN(5) == 0 {
		s.Requested = addrs([]string{"198.51.100.0", "192.0.2.255", "192.0.3.1", "2001:db8::1"}[rng.IntN(4)])
		if len(s.ClusterIPs) == 2 {
			s.Requested = addrs([]string{"198.51.100.0", "192.0.3.1"}[rng.IntN(2)] + " 2001:db8:1::1")
		}
	}
	return s
}

// operation is one step of a history. What it does follows from its seed and
// from what there is, so that a history may be cut anywhere.
type operation struct {
	kind string
	n    int // the Service
	seed uint64
}

var kinds = []string{
	"create", "create", "create", "create", "delete", "delete", "edit", "edit", "touch", "labels", "namespace", "pools", "wait", "wait", "restart", "settle",
}

func history(seed uint64, length int) []operation {
	rng := rand.New(rand.NewPCG(seed, 7))
	ops := make([]operation, length)
	for i := range ops {
		ops[i] = operation{kinds[rng.IntN(len(kinds))], rng.IntN(14), rng.Uint64()}
	}
	return ops
}

func newCluster(seed uint64) *cluster {
	rng := rand.New(rand.NewPCG(seed, 8))
	c := &cluster{
		now: epoch, alloc: New(), namespaces: map[string]*pharos.Namespace{},
		services: map[pharos.Name]*pharos.Service{}, freed: map[netip.Addr]modelledRest{},
	}
	for _, t := range teams {
		c.namespaces[t] = randomNamespace(rng, t)
	}
	c.pools = randomPools(rng)
	c.begin()
	return c
}

// begin has a new Allocator learn all that there is, as after a start.
func (c *cluster) begin() []Outcome {
	c.alloc = New()
	c.freed, c.users, c.adopted = map[netip.Addr]modelledRest{}, nil, map[pharos.Name]bool{}
	for n, s := range c.services {
		c.adopted[n] = len(s.Ingress) > 0
	}
	c.alloc.SetPools(c.now, c.pools)
	var namespaces []*pharos.Namespace
	for _, ns := range c.namespaces {
		namespaces = append(namespaces, ns)
	}
	c.alloc.SetNamespaces(c.now, namespaces, nil)
	var all []*pharos.Service
	for _, s := range c.services {
		all = append(all, s)
	}
	return c.alloc.Update(c.now, all, nil)
}

func (c *cluster) do(op operation, step int) error {
	rng := rand.New(rand.NewPCG(op.seed, 9))
	id := nth(op.n)
	old := c.services[id]
	for n, s := range c.services {
		if o, _ := c.alloc.Claim(n); op.kind == "create" && n == id {
			delete(c.adopted, n)
		} else if len(o.Addrs) == 0 && len(s.Ingress) > 0 {
			c.adopted[n] = true
		}
	}
	c.seen = map[pharos.Name][]netip.Addr{}
	for n, s := range c.services {
		c.seen[n] = s.Ingress
	}
	put := func(s *pharos.Service) {
		c.services[s.Name] = s
		c.write(rng, c.alloc.Update(c.now, []*pharos.Service{s}, nil))
	}
	switch op.kind {
	case "create": // or delete and create at once
		delete(c.seen, id)
		put(randomService(rng, op.n, step))
	case "delete":
		delete(c.services, id)
		c.write(rng, c.alloc.Update(c.now, nil, []pharos.Name{id}))
	case "edit", "touch", "labels":
		if old == nil {
			return nil
		}
		s := *old
		switch op.kind {
		case "edit":
			s = *randomService(rng, op.n, 0)
			s.UID, s.Created, s.Ingress, s.AllocatedFrom = old.UID, old.Created, old.Ingress, old.AllocatedFrom
		case "labels":
			s.Labels = randomService(rng, op.n, 0).Labels
		}
		if was := c.alloc.claims[id]; len(was.Addrs) > 0 && !c.alloc.sameClaim(was, &s) {
			delete(c.adopted, id)
		}
		put(&s)
	case "namespace":
		ns := randomNamespace(rng, id.Namespace)
		c.namespaces[ns.Name] = ns
		c.write(rng, c.alloc.SetNamespaces(c.now, []*pharos.Namespace{ns}, nil))
	case "pools":
		pools := randomPools(rng)
		for n := range c.adopted {
			if o, _ := c.alloc.Claim(n); len(o.Addrs) > 0 {
				delete(c.adopted, n)
			}
		}
		c.pools = pools
		c.write(rng, c.alloc.SetPools(c.now, pools))
	case "wait":
		c.now = c.now.Add(time.Duration(rng.IntN(8)) * time.Second)
		due := c.alloc.Deadline()
		out := c.alloc.Step(c.now)
		if len(out) > 0 && (due.IsZero() || due.After(c.now)) {
			return fmt.Errorf("%d outcomes, though nothing was due", len(out))
		}
		c.write(rng, out)
	case "restart": // the statuses are all that is left
		if rng.IntN(3) == 0 {
			c.pools = randomPools(rng) // edited meanwhile
		}
		c.write(rng, c.begin())
	case "settle":
		return c.settle()
	}
	return nil
}

// settle has all be written, and then a second Allocator that finds it. Whoever
// has addresses has the same there, and where nothing cools down, everybody.
func (c *cluster) settle() error {
	for _, s := range c.services {
		o, _ := c.alloc.Claim(s.Name)
		c.writeOne(o)
	}
	second := *c
	for n, o := range func() map[pharos.Name]Outcome {
		got := map[pharos.Name]Outcome{}
		for _, o := range second.begin() {
			got[o.Service.Name] = o
		}
		return got
	}() {
		was, _ := c.alloc.Claim(n)
		cools := len(c.alloc.cooling.at) > 0
		if !slices.Equal(was.Addrs, o.Addrs) && !(cools && subset(was.Addrs, o.Addrs)) {
			return fmt.Errorf("met in one go, %s has %s, not %s", n, render(o), render(was))
		}
		if !cools && was.Reason.Code != o.Reason.Code { // particulars may be out of date
			return fmt.Errorf("met in one go, %s is told %q, not %q", n, o.Reason, was.Reason)
		}
	}
	return nil
}

func play(seed uint64, ops []operation) error {
	c := newCluster(seed)
	for i, op := range ops {
		if err := c.do(op, i); err != nil {
			return fmt.Errorf("after %d, %s of %s: %w", i, op.kind, nth(op.n), err)
		}
		if err := c.check(); err != nil {
			return fmt.Errorf("after %d, %s of %s: %w", i, op.kind, nth(op.n), err)
		}
	}
	return nil
}

// shrink leaves out of a history what it fails without.
func shrink(seed uint64, ops []operation) []operation {
	for size := len(ops) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(ops); {
			if less := slices.Delete(slices.Clone(ops), i, i+size); play(seed, less) != nil {
				ops = less
			} else {
				i += size
			}
		}
	}
	return ops
}

// Whatever is created, deleted, edited, labeled, reconfigured and restarted, and
// however time passes, no address is given twice, nobody waits for what is to be
// had, and who meets the outcome in one go decides the same.
func TestAnySequence(t *testing.T) {
	for seed := range uint64(200) {
		ops := history(seed, 120)
		if play(seed, ops) == nil {
			continue
		}
		ops = shrink(seed, ops)
		text := ""
		for i, op := range ops {
			text += fmt.Sprintf("\n%3d %-9s %s", i, op.kind, nth(op.n))
		}
		t.Fatalf("seed %d: %v%s", seed, play(seed, ops), text)
	}
}

// Services met one by one, in the order of their creation, get what they get when
// they are met in one go.
func TestOneByOneAsInOneGo(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 13))
		c := newCluster(seed)
		whole := newCluster(seed)
		for n := range 14 {
			s := randomService(rng, n, n)
			s.Created = epoch.Add(time.Duration(n) * time.Second)
			c.services[s.Name], whole.services[s.Name] = s, s
			c.alloc.Update(c.now, []*pharos.Service{s}, nil)
		}
		for _, o := range whole.begin() {
			if was, _ := c.alloc.Claim(o.Service.Name); render(was) != render(o) {
				t.Fatalf("seed %d: one by one %s gets %s, in one go %s", seed, o.Service.Name, render(was), render(o))
			}
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
			a.SetPools(epoch, pools)
			got := map[string]string{}
			for _, o := range a.Update(epoch, slices.Clone(batch), nil) {
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
