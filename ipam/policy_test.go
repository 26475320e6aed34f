package ipam

import (
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

func with(p pharos.Pool, edits ...func(*pharos.Pool)) pharos.Pool {
	for _, edit := range edits {
		edit(&p)
	}
	return p
}

func pinned(a pharos.Allocation) func(*pharos.Pool) {
	return func(p *pharos.Pool) { p.Allocation = &a }
}

// reserves keeps addresses: "name=address", of namespace default unless the name
// has another.
func reserves(texts ...string) func(*pharos.Pool) {
	return func(p *pharos.Pool) {
		for _, text := range texts {
			who, address, _ := strings.Cut(text, "=")
			r := pharos.Reservation{Service: name(who), Addr: addr(address)}
			if strings.Contains(who, "/") {
				_ = r.Service.UnmarshalText([]byte(who))
			}
			p.Reservations = append(p.Reservations, r)
		}
	}
}

func quota(of string, n int) func(*pharos.Pool) {
	return func(p *pharos.Pool) {
		if p.Quota == nil {
			p.Quota = map[string]int{}
		}
		p.Quota[of] = n
	}
}

func rests(d time.Duration) func(*pharos.Pool) {
	return func(p *pharos.Pool) { p.CoolDown = d }
}

func in(namespace string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.Name.Namespace = namespace }
}

func labeled(key, value string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.Labels = map[string]string{key: value} }
}

func selects(key string, values ...string) []pharos.Selector {
	return []pharos.Selector{{{Key: key, Operator: pharos.In, Values: values}}}
}

// Each Service in turn gets what is written beside it. Namespace red is labeled
// team=red, default is not.
func TestPolicies(t *testing.T) {
	type step struct {
		svc  *pharos.Service
		want string
	}
	open := pool("open", "203.0.113.0/30")
	for _, c := range []struct {
		name  string
		pools []pharos.Pool
		steps []step
	}{
		{"pinned pools go first, by priority, 0 last, then by name", []pharos.Pool{
			pool("a-open", "203.0.113.0/30"),
			with(pool("b", "192.0.2.0/32"), pinned(pharos.Allocation{Priority: 2})),
			with(pool("c", "192.0.2.1/32"), pinned(pharos.Allocation{})),
			with(pool("d", "192.0.2.2/32"), pinned(pharos.Allocation{Priority: 1})),
			with(pool("e", "192.0.2.3/32"), pinned(pharos.Allocation{Priority: 1})),
			with(pool("f", "192.0.2.4/32", "auto=false"), pinned(pharos.Allocation{Priority: 1})),
		}, []step{
			{svc("1"), "192.0.2.2 of d"}, {svc("2"), "192.0.2.3 of e"}, {svc("3"), "192.0.2.0 of b"}, {svc("4"), "192.0.2.1 of c"},
			{svc("5"), "203.0.113.0 of a-open"}, {svc("6", from("f")), "192.0.2.4 of f"},
		}},
		{"a pool is for some namespaces", []pharos.Pool{
			with(pool("red", "192.0.2.0/28"), pinned(pharos.Allocation{Namespaces: []string{"shop"}, NamespaceSelectors: selects("team", "red")})),
		}, []step{
			{svc("1", in("red")), "192.0.2.0 of red"}, {svc("2", in("shop")), "192.0.2.1 of red"},
			{svc("3"), `AllocationFailed: no pool is for this Service: pool red is for other namespaces than default: shop, those labeled "team in (red)"`},
			{svc("4", from("red")), `AllocationFailed: pool red is for other namespaces than default: shop, those labeled "team in (red)"`},
			{svc("5", requests("192.0.2.9")), `AllocationFailed: pool red is for other namespaces than default: shop, those labeled "team in (red)"`},
			{svc("6", status("192.0.2.9")), `AllocationFailed: no pool is for this Service: pool red is for other namespaces than default: shop, those labeled "team in (red)"`},
		}},
		{"selectors that match nothing admit nobody", []pharos.Pool{
			with(pool("none", "192.0.2.0/28"), pinned(pharos.Allocation{NamespaceSelectors: selects("team", "nobody"), ServiceSelectors: selects("app", "web")})), open,
		}, []step{
			{svc("1", labeled("app", "web")), "203.0.113.0 of open"},
			{svc("2", labeled("app", "web"), from("none")), `AllocationFailed: pool none is for other namespaces than default: those labeled "team in (nobody)"`},
		}},
		{"a pool is for some Services", []pharos.Pool{
			with(pool("web", "192.0.2.0/28"), pinned(pharos.Allocation{ServiceSelectors: selects("app", "web")})), open,
		}, []step{
			{svc("1", labeled("app", "web")), "192.0.2.0 of web"}, {svc("2"), "203.0.113.0 of open"},
			{svc("3", from("web")), `AllocationFailed: pool web is for Services with other labels: "app in (web)"`},
			{svc("1"), "203.0.113.1 of open"}, // its label is gone
			{svc("2", labeled("app", "web")), "203.0.113.0 of open"},
		}},
		{"two families: one pool before two, pinned before open", []pharos.Pool{
			with(pool("pinned4", "192.0.2.0/32"), pinned(pharos.Allocation{})), with(pool("pinned6", "2001:db8::/126"), pinned(pharos.Allocation{})),
			pool("a-both", "198.51.100.0/32 2001:db8:1::/128"), open,
		}, []step{
			{svc("1", prefer, require), "198.51.100.0 and 2001:db8:1:: of a-both"}, {svc("2", prefer, require), "192.0.2.0 and 2001:db8:: of pinned4"},
			{svc("3", prefer), "203.0.113.0 and 2001:db8::1 of open"},
			{svc("4", prefer, status("203.0.113.2")), "203.0.113.2 of open, AdditionalAssignFailed: no free IPv6 address in pool open, to go with 203.0.113.2"},
			{svc("5", prefer, require, status("203.0.113.3")), "203.0.113.3 and 2001:db8::2 of open"},
			{svc("9", prefer, status("203.0.113.9")), "203.0.113.1 and 2001:db8::3 of open"},
			{svc("6", clusterIPs("fd00::1")), "AllocationFailed: no free IPv6 address in pools pinned4, pinned6, a-both, open"},
			{svc("7", prefer), "AllocationFailed: no free IPv4 or IPv6 address in pools pinned4, pinned6, a-both, open"},
		}},
		{"who gave up a family keeps the other", []pharos.Pool{pool("a", "192.0.2.0/28 2001:db8::/126")}, []step{
			{svc("0"), "192.0.2.0 of a"}, {svc("1", prefer), "192.0.2.1 and 2001:db8:: of a"}, {svc("0", from("none")), `AllocationFailed: there is no pool "none", there are: a`},
			{svc("1", status("192.0.2.1 2001:db8::")), "192.0.2.1 of a"},
		}},
		{"reservations", []pharos.Pool{
			with(pool("a", "192.0.2.0/30 2001:db8::/126"), reserves("web=192.0.2.0", "web=2001:db8::1", "gone=192.0.2.1")),
			with(pool("manual", "198.51.100.0/30", "auto=false"), reserves("api=198.51.100.2"), pinned(pharos.Allocation{Namespaces: []string{"shop"}})),
		}, []step{
			{svc("1"), "192.0.2.2 of a"}, {svc("2", requests("192.0.2.0")), "AllocationFailed: 192.0.2.0 is reserved for default/web"},
			{svc("web", prefer), "192.0.2.0 and 2001:db8::1 of a"},
			{svc("api"), "198.51.100.2 of manual"},
			{svc("3", shares("k", 1)), "192.0.2.3 of a"},
			{svc("4"), "AllocationFailed: no free IPv4 address in pool a"},
			{svc("gone", from("manual")), "AllocationFailed: pool manual is for other namespaces than default: shop"},
			{svc("gone", requests("192.0.2.1")), "192.0.2.1 of a"},
		}},
		{"a reserved address that another has stays there", []pharos.Pool{with(pool("a", "192.0.2.0/28"), reserves("web=192.0.2.7"))}, []step{
			{svc("1", status("192.0.2.7")), "192.0.2.7 of a"},
			{svc("web"), "AllocationFailed: 192.0.2.7 is in use by default/1, and reserved for this Service"},
			{svc("1", from("none")), `AllocationFailed: there is no pool "none", there are: a`}, // gives it up
			{svc("web"), "192.0.2.7 of a"},
		}},
		{"who is named may share with who is named", []pharos.Pool{with(pool("a", "192.0.2.0/28"), reserves("1=192.0.2.3", "2=192.0.2.3"))}, []step{
			{svc("1", shares("k", 1)), "192.0.2.3 of a"}, {svc("2", shares("k", 2)), "192.0.2.3 of a"},
			{svc("3", shares("k", 3)), "192.0.2.0 of a"}, {svc("4", shares("k", 3), requests("192.0.2.3")), "AllocationFailed: 192.0.2.3 is reserved for default/1, default/2"},
		}},
		{"quota", []pharos.Pool{
			with(pool("a", "192.0.2.0/28 2001:db8::/126"), quota("default", 2), quota(pharos.AnyNamespace, 1), quota("vip", 5), reserves("shop/kept=192.0.2.9")), pool("b", "198.51.100.0/31"),
		}, []step{
			{svc("1", shares("k", 1)), "192.0.2.0 of a"}, {svc("2", shares("k", 2)), "192.0.2.0 of a"}, {svc("3"), "192.0.2.1 of a"},
			{svc("4", shares("k", 3)), "192.0.2.0 of a"},
			{svc("5"), "198.51.100.0 of b"},
			{svc("6", from("a")), "AllocationFailed: no free IPv4 address in pool a; namespace default has used up its quota of pool a, 2"},
			{svc("7", requests("192.0.2.8")), "AllocationFailed: namespace default has used up its quota of pool a, 2"},
			{svc("8", shares("k", 8), requests("192.0.2.0")), "192.0.2.0 of a"},
			{svc("1", in("shop"), prefer), "198.51.100.1 and 2001:db8:: of b"},
			{svc("kept", in("shop")), "192.0.2.9 of a"}, {svc("2", in("vip"), from("a"), prefer), "192.0.2.2 and 2001:db8::1 of a"},
			{svc("3", in("shop"), prefer), "AllocationFailed: no free IPv4 or IPv6 address in pools a, b; namespace shop has used up its quota of pool a, 1"},
			{svc("9", status("192.0.2.15")), "192.0.2.15 of a"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New()
			a.SetNamespaces(epoch, []*pharos.Namespace{{Name: "red", Labels: map[string]string{"team": "red"}}}, nil)
			a.SetPools(epoch, c.pools)
			for _, s := range c.steps {
				if got := render(one(t, a, s.svc)); got != s.want {
					t.Errorf("%s gets %s\nwant %s", s.svc.Name, got, s.want)
				}
			}
		})
	}
}

// expectOutcomes compares outcomes, in any order, with lines of name and what it
// has.
func expectOutcomes(t *testing.T, got []Outcome, want ...string) {
	t.Helper()
	lines := map[string]bool{}
	for _, o := range got {
		lines[o.Service.Name.Name+": "+render(o)] = true
	}
	for _, w := range want {
		if !lines[w] {
			t.Errorf("missing %s", w)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("got %v", lines)
	}
}

func TestOnlyTheServicesConcernedAreLookedAtAgain(t *testing.T) {
	a := New()
	label := func(value string) []*pharos.Namespace {
		return []*pharos.Namespace{{Name: "default", Labels: map[string]string{"team": value}}, {Name: "other", Labels: map[string]string{"any": "thing"}}}
	}
	a.SetNamespaces(epoch, label("red"), nil)
	a.SetPools(epoch, []pharos.Pool{
		with(pool("red", "192.0.2.0/31"), pinned(pharos.Allocation{NamespaceSelectors: selects("team", "red")})), pool("z", "198.51.100.0/32"),
	})
	for _, s := range []*pharos.Service{svc("1"), svc("2", from("z")), svc("3", in("other")), svc("4", from("red"))} {
		one(t, a, s)
	}
	expectOutcomes(t, a.SetNamespaces(epoch, label("red"), nil)) // nothing changed
	expectOutcomes(t, a.SetNamespaces(epoch, label("blue"), nil),
		`1: AllocationFailed: no free IPv4 address in pool z`,
		`4: AllocationFailed: pool red is for other namespaces than default: those labeled "team in (red)"`)
	expectOutcomes(t, a.SetNamespaces(epoch, label("red"), nil), "1: 192.0.2.0 of red", "4: 192.0.2.1 of red")
}

// At a start a second family is had of the same pool only, as it was before: not
// a byte of a status changes. Later it is had of any.
func TestSecondFamilyOfAnotherPoolIsNoMatterOfAStart(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("four", "192.0.2.0/28"), pool("six", "2001:db8::/126"), pool("two", "198.51.100.0/28 2001:db8:1::/126")})
	expectOutcomes(t, a.Update(epoch, []*pharos.Service{svc("1", prefer, status("192.0.2.3")), svc("2", prefer, status("198.51.100.3")), svc("3")}, nil),
		"1: 192.0.2.3 of four, AdditionalAssignFailed: no free IPv6 address in pool four, to go with 192.0.2.3",
		"2: 198.51.100.3 and 2001:db8:1:: of two", "3: 192.0.2.0 of four")
	expectOutcomes(t, a.Update(epoch, nil, []pharos.Name{name("3")}), "1: 192.0.2.3 and 2001:db8:: of four")
}

func TestFreedQuotaLetsWaitersGo(t *testing.T) {
	a := New()
	pools := []pharos.Pool{with(pool("a", "192.0.2.0/28"), quota(pharos.AnyNamespace, 2))}
	a.SetPools(epoch, pools)
	for _, n := range []string{"1", "2", "3", "4"} {
		one(t, a, svc(n))
	}
	expectOutcomes(t, a.Update(epoch, nil, []pharos.Name{name("1")}), "3: 192.0.2.0 of a")
	quota(pharos.AnyNamespace, 1)(&pools[0])
	expectOutcomes(t, a.SetPools(epoch, pools), "2: 192.0.2.1 of a", "3: 192.0.2.0 of a",
		"4: AllocationFailed: no free IPv4 address in pool a; namespace default has used up its quota of pool a, 1")
	expectOutcomes(t, a.Update(epoch, nil, []pharos.Name{name("2")}))
	quota("default", 9)(&pools[0])
	expectOutcomes(t, a.SetPools(epoch, pools), "3: 192.0.2.0 of a", "4: 192.0.2.1 of a")
}

func TestCoolDown(t *testing.T) {
	at := func(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
	a := New()
	pools := []pharos.Pool{with(pool("a", "192.0.2.0/31"), rests(time.Minute))}
	a.SetPools(at(0), pools)
	a.Update(at(0), []*pharos.Service{svc("1"), svc("2")}, nil)
	if !a.Deadline().IsZero() {
		t.Errorf("Step is due at %s, nothing cools down", a.Deadline())
	}
	a.Update(at(10), nil, []pharos.Name{name("1")})
	expectOutcomes(t, a.Update(at(20), []*pharos.Service{svc("3"), svc("4", requests("192.0.2.0"))}, nil),
		"3: AllocationFailed: no free IPv4 address in pool a; what was given back of pool a cools down for 1m0s",
		"4: AllocationFailed: 192.0.2.0 cools down: default/1 gave it back, and nobody else gets it before 2024-01-01 00:01:10 UTC")
	if !a.Deadline().Equal(at(70)) {
		t.Errorf("Step is due at %s", a.Deadline())
	}
	// Who had it may have it again, and it cools down anew.
	expectOutcomes(t, a.Update(at(30), []*pharos.Service{svc("1", func(s *pharos.Service) { s.UID = "again" })}, nil), "1: 192.0.2.0 of a")
	if !a.Deadline().IsZero() {
		t.Errorf("Step is due at %s, nothing cools down", a.Deadline())
	}
	a.Update(at(40), nil, []pharos.Name{name("1")})
	expectOutcomes(t, a.Step(at(99)))
	expectOutcomes(t, a.Step(at(100)), "3: 192.0.2.0 of a", "4: AllocationFailed: 192.0.2.0 is in use by default/3")

	// What is configured holds for what cools down already.
	a.Update(at(200), nil, []pharos.Name{name("2")})
	expectOutcomes(t, a.Update(at(201), []*pharos.Service{svc("5", created(9))}, nil), "5: AllocationFailed: no free IPv4 address in pool a; what was given back of pool a cools down for 1m0s")
	rests(2 * time.Minute)(&pools[0])
	a.SetPools(at(210), pools)
	if !a.Deadline().Equal(at(320)) {
		t.Errorf("with a longer cool-down Step is due at %s", a.Deadline())
	}
	rests(0)(&pools[0])
	expectOutcomes(t, a.SetPools(at(211), pools), "3: 192.0.2.0 of a", "4: AllocationFailed: 192.0.2.0 is in use by default/3", "5: 192.0.2.1 of a")
}

func TestTwoAddressesOfAFamilyInAStatus(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28")})
	o := one(t, a, svc("1", status("192.0.2.5 192.0.2.6")))
	if render(o) != "192.0.2.5 of a" || o.Lost != why.New(why.NoLBIPFamilies, "192.0.2.6 is taken back: the Service has 192.0.2.5 already, and one address of a family is all it may have") {
		t.Errorf("got %s, lost %v", render(o), o.Lost)
	}
}

func TestNotice(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{with(pool("a", "192.0.2.0/28"), reserves("web=192.0.2.7"))})
	o := one(t, a, svc("1", status("192.0.2.7")))
	want := "assigned 192.0.2.7 from pool a; 192.0.2.7 is reserved for default/web, and this Service keeps it until it gives it up"
	if o.Reason != why.New(why.IPAllocated, "%s", want) {
		t.Errorf("the reason is %q", o.Reason)
	}
}
