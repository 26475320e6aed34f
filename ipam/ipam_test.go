package ipam

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/why"
)

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func addrs(s string) []netip.Addr {
	var out []netip.Addr
	for _, text := range strings.Fields(s) {
		out = append(out, addr(text))
	}
	return out
}

// pool makes a pool; its options are auto=false and avoid.
func pool(name, ranges string, options ...string) pharos.Pool {
	p := pharos.Pool{Name: name, ManualOnly: slices.Contains(options, "auto=false"), AvoidBuggyIPs: slices.Contains(options, "avoid")}
	for _, text := range strings.Fields(ranges) {
		if first, last, ok := strings.Cut(text, "-"); ok {
			p.Ranges = append(p.Ranges, pharos.Range{First: addr(first), Last: addr(last)})
		} else {
			p.Ranges = append(p.Ranges, pharos.PrefixRange(netip.MustParsePrefix(text)))
		}
	}
	return p
}

// svc makes a Service with TCP port 80 and an IPv4 cluster IP, changed by edits.
func svc(name string, edits ...func(*pharos.Service)) *pharos.Service {
	s := &pharos.Service{
		Name: pharos.Name{Namespace: "default", Name: name}, UID: name, Type: pharos.LoadBalancer, Created: epoch,
		ClusterIPs: addrs("10.233.0.9"), Ports: []pharos.ServicePort{{Protocol: pharos.TCP, Port: 80}},
	}
	for _, edit := range edits {
		edit(s)
	}
	return s
}

func created(second int) func(*pharos.Service) {
	return func(s *pharos.Service) { s.Created = epoch.Add(time.Duration(second) * time.Second) }
}
func status(text string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.Ingress = addrs(text) }
}
func requests(text string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.Requested = addrs(text) }
}
func from(pool string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.RequestedPool = pool }
}
func clusterIPs(text string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.ClusterIPs = addrs(text) }
}
func shares(key string, ports ...uint16) func(*pharos.Service) {
	return func(s *pharos.Service) {
		s.SharingKey = key
		s.Ports = nil
		for _, p := range ports {
			s.Ports = append(s.Ports, pharos.ServicePort{Protocol: pharos.TCP, Port: p})
		}
	}
}
func local(selector string) func(*pharos.Service) {
	return func(s *pharos.Service) { s.ExternalLocal, s.Selector = true, selector }
}
func prefer(s *pharos.Service) {
	s.DualStack, s.ClusterIPs = true, addrs("10.233.0.9 fd00::9")
}
func require(s *pharos.Service) { s.DualStack, s.RequireDualStack = true, true }

// render tells what a Service has: addresses and pool, or code and detail of why
// not.
func render(o Outcome) string {
	if len(o.Addrs) == 0 {
		return fmt.Sprintf("%s: %s", o.Reason.Code, o.Reason)
	}
	text := fmt.Sprint(join(o.Addrs), " of ", o.Pool)
	if o.Reason.Code != why.IPAllocated {
		text += fmt.Sprintf(", %s: %s", o.Reason.Code, o.Reason)
	}
	return text
}

// Each Service in turn, in one Allocator, gets what is written beside it.
func TestAllocation(t *testing.T) {
	dual := []pharos.Pool{pool("a4", "192.0.2.0/30"), pool("b46", "198.51.100.8/30 2001:db8::/126"), pool("c6", "2001:db8:1::/126")}
	type step struct {
		svc  *pharos.Service
		want string
	}
	for _, c := range []struct {
		name  string
		pools []pharos.Pool
		steps []step
	}{
		{"the walk-through", []pharos.Pool{pool("default", "172.19.100.0/24", "avoid")}, []step{
			{svc("ng-svc"), "172.19.100.1 of default"}, {svc("next"), "172.19.100.2 of default"},
		}},
		{"pools by name, ranges as configured", []pharos.Pool{pool("b", "192.0.2.0/32"), pool("a", "198.51.100.7/32 198.51.100.3/32")}, []step{
			{svc("1"), "198.51.100.7 of a"}, {svc("2"), "198.51.100.3 of a"}, {svc("3"), "192.0.2.0 of b"},
			{svc("4"), "AllocationFailed: no free IPv4 address in pools a, b"},
		}},
		{"no pools", nil, []step{{svc("1"), "AllocationFailed: no pool is configured"}}},
		{"manual pools only", []pharos.Pool{pool("m", "192.0.2.0/28", "auto=false")}, []step{
			{svc("1"), "AllocationFailed: every pool has auto-assign off, and the Service names none"},
			{svc("2", from("m")), "192.0.2.0 of m"}, {svc("3", requests("192.0.2.9")), "192.0.2.9 of m"},
		}},
		{"requests", []pharos.Pool{pool("a", "192.0.2.0/28", "avoid"), pool("b", "198.51.100.0/28")}, []step{
			{svc("1", requests("198.51.100.4")), "198.51.100.4 of b"},
			{svc("2", requests("198.51.100.4")), "AllocationFailed: 198.51.100.4 is in use by default/1"},
			{svc("3", requests("203.0.113.1")), "AllocationFailed: 203.0.113.1 is in no pool"},
			{svc("4", requests("192.0.2.0")), "AllocationFailed: pool a leaves out addresses that end in .0 or .255, as 192.0.2.0 does"},
			{svc("5", requests("192.0.2.3"), from("b")), "AllocationFailed: 192.0.2.3 is in pool a, not in b as requested"},
			{svc("6", from("c")), `AllocationFailed: there is no pool "c", there are: a, b`},
			{svc("7", requests("192.0.2.3"), clusterIPs("fd00::9")), "AllocationFailed: 192.0.2.3 does not fit the Service's families, IPv6"},
			{svc("8", func(s *pharos.Service) { s.Refused = why.New(why.LoadBalancerFailed, "twice") }), "LoadBalancerFailed: twice"},
			{svc("9", from("b")), "198.51.100.0 of b"},
		}},
		{"one family", dual, []step{
			{svc("1", clusterIPs("fd00::9")), "2001:db8:: of b46"}, {svc("2"), "192.0.2.0 of a4"},
		}},
		{"two families are of one pool", dual, []step{
			{svc("1", prefer), "198.51.100.8 and 2001:db8:: of b46"},
			{svc("2", prefer, func(s *pharos.Service) { slices.Reverse(s.ClusterIPs) }), "2001:db8::1 and 198.51.100.9 of b46"},
			{svc("3", prefer, require, from("c6")), "AllocationFailed: no free IPv4 and IPv6 address in pool c6"},
			{svc("4", require), "not enough clusterips: ipFamilyPolicy RequireDualStack, but the only cluster IP is 10.233.0.9"},
			{svc("5", clusterIPs("")), "noclusterIPsIPFamily: the Service has no cluster IP that tells its families"},
			{svc("6", prefer, requests("198.51.100.11 2001:db8::3")), "198.51.100.11 and 2001:db8::3 of b46"},
			{svc("7", prefer, requests("198.51.100.10")), "AllocationFailed: 198.51.100.10 does not fit the Service's families, IPv4 or IPv6"},
			{svc("8", prefer, requests("192.0.2.2 2001:db8::2")), "192.0.2.2 and 2001:db8::2 of a4"},
		}},
		{"two families of two pools", []pharos.Pool{pool("a4", "192.0.2.0/30"), pool("c6", "2001:db8:1::/126")}, []step{
			{svc("1", prefer), "192.0.2.0 and 2001:db8:1:: of a4"},
			{svc("2", prefer, from("c6")), "2001:db8:1::1 of c6, AdditionalAssignFailed: no free IPv4 address in pool c6, to go with 2001:db8:1::1"},
			{svc("3", prefer, require), "192.0.2.1 and 2001:db8:1::2 of a4"},
		}},
		{"sharing", []pharos.Pool{pool("a", "192.0.2.0/28")}, []step{
			{svc("1"), "192.0.2.0 of a"},
			{svc("2", shares("k", 80)), "192.0.2.1 of a"},
			{svc("3", shares("k", 443)), "192.0.2.1 of a"},
			{svc("4", shares("k", 8080, 443)), "192.0.2.2 of a"},
			{svc("5", shares("other", 22)), "192.0.2.3 of a"},
			{svc("6", shares("k", 22), local("app=x")), "192.0.2.4 of a"},
			{svc("7", shares("k", 23), local("app=x")), "192.0.2.4 of a"},
			{svc("8", shares("k", 24), local("app=y")), "192.0.2.5 of a"},
			{svc("9", shares("k", 25)), "192.0.2.1 of a"},
			{svc("10", shares("k", 443), requests("192.0.2.1")), "AllocationFailed: 192.0.2.1 is in use by default/3, on the same port 443/TCP"},
			{svc("11", shares("k2", 1), requests("192.0.2.1")), "AllocationFailed: 192.0.2.1 is in use by default/2, with another sharing key"},
			{svc("12", shares("k", 1), requests("192.0.2.4")), "AllocationFailed: 192.0.2.4 is in use by default/6, with other backends: with externalTrafficPolicy Local both need the same pod selector"},
			{svc("13", requests("192.0.2.1")), "AllocationFailed: 192.0.2.1 is in use by default/2"},
			{svc("14", shares("k", 26), requests("192.0.2.2")), "192.0.2.2 of a"},
		}},
		{"the status is kept if allowed", []pharos.Pool{pool("a", "192.0.2.0/28"), pool("b", "198.51.100.0/28")}, []step{
			{svc("1", status("198.51.100.5")), "198.51.100.5 of b"},
			{svc("2", status("198.51.100.5")), "192.0.2.0 of a"},
			{svc("3", status("203.0.113.1")), "192.0.2.1 of a"},
			{svc("4", status("192.0.2.9"), from("b")), "198.51.100.0 of b"},
			{svc("5", status("192.0.2.9"), requests("192.0.2.10")), "192.0.2.10 of a"},
			{svc("6", status("192.0.2.11 192.0.2.12")), "192.0.2.11 of a"},
			{svc("7", status("192.0.2.13"), func(s *pharos.Service) { s.Refused = why.New(why.LoadBalancerFailed, "twice") }), "192.0.2.13 of a, LoadBalancerFailed: twice"},
			{svc("8", prefer, status("192.0.2.14")), "192.0.2.14 of a, AdditionalAssignFailed: no free IPv6 address in pool a, to go with 192.0.2.14"},
		}},
		{"the last address there is", []pharos.Pool{pool("a", "255.255.255.254/31"), pool("b", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")}, []step{
			{svc("1"), "255.255.255.254 of a"}, {svc("2"), "255.255.255.255 of a"}, {svc("3"), "AllocationFailed: no free IPv4 address in pools a, b"},
			{svc("4", clusterIPs("fd00::1")), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff of b"},
			{svc("5", clusterIPs("fd00::1")), "AllocationFailed: no free IPv6 address in pools a, b"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New()
			a.SetPools(epoch, c.pools)
			for _, s := range c.steps {
				out := a.Update(epoch, []*pharos.Service{s.svc}, nil)
				if len(out) != 1 || render(out[0]) != s.want {
					t.Errorf("%s gets %s\nwant %s", s.svc.Name, render(out[0]), s.want)
				}
			}
		})
	}
}

func one(t *testing.T, a *Allocator, s *pharos.Service) Outcome {
	t.Helper()
	for _, o := range a.Update(epoch, []*pharos.Service{s}, nil) {
		if o.Service == s {
			return o
		}
	}
	t.Fatalf("no outcome of %s", s.Name)
	return Outcome{}
}

func name(n string) pharos.Name { return pharos.Name{Namespace: "default", Name: n} }

func TestFreedAddressGoesToTheOldestThatWaits(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/31")})
	a.Update(epoch, []*pharos.Service{svc("1"), svc("2")}, nil)
	a.Update(epoch, []*pharos.Service{svc("young", created(9))}, nil)
	a.Update(epoch, []*pharos.Service{svc("old", created(5))}, nil)

	out := a.Update(epoch, []*pharos.Service{svc("youngest", created(12))}, []pharos.Name{name("1")})
	got := map[string]string{}
	for _, o := range out {
		got[o.Service.Name.Name] = render(o)
	}
	if len(got) != 2 || got["old"] != "192.0.2.0 of a" || !strings.HasPrefix(got["youngest"], "AllocationFailed") {
		t.Errorf("got %v, want the address for old, nothing for youngest, and no word about others", got)
	}
}

func TestDeletedAndMadeAgainStartsAnew(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28")})
	a.Update(epoch, []*pharos.Service{svc("1"), svc("2")}, nil)
	a.Update(epoch, nil, []pharos.Name{name("1")})
	if o := one(t, a, svc("2", func(s *pharos.Service) { s.UID = "later" })); render(o) != "192.0.2.0 of a" {
		t.Errorf("the later Service gets %s, want the lowest address", render(o))
	}
}

func TestChangedRequestMovesAndSaysWhy(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28")})
	one(t, a, svc("1"))
	o := one(t, a, svc("1", status("192.0.2.0"), requests("192.0.2.7")))
	if render(o) != "192.0.2.7 of a" || o.Lost.Detail != "192.0.2.0 is taken back: 192.0.2.7 is requested" {
		t.Errorf("got %s, lost %q", render(o), o.Lost.Detail)
	}
	// A request that contradicts itself is no reason to take anything away.
	o = one(t, a, svc("1", status("192.0.2.7"), func(s *pharos.Service) { s.Refused = why.New(why.LoadBalancerFailed, "twice") }))
	if render(o) != "192.0.2.7 of a, LoadBalancerFailed: twice" || o.Lost.Code != why.OK {
		t.Errorf("got %s, lost %q", render(o), o.Lost.Detail)
	}
}

func TestSoleUserChangesItsKeyInPlace(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28")})
	one(t, a, svc("1", shares("k", 80)))
	if o := one(t, a, svc("1", shares("k2", 80))); render(o) != "192.0.2.0 of a" {
		t.Errorf("alone: got %s", render(o))
	}
	one(t, a, svc("2", shares("k2", 81)))
	if o := one(t, a, svc("1", shares("k", 80))); render(o) != "192.0.2.1 of a" {
		t.Errorf("with another user: got %s, want another address", render(o))
	}
}

func TestSecondFamilyComesLater(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28 2001:db8::/128")})
	one(t, a, svc("6", clusterIPs("fd00::1")))
	if o := one(t, a, svc("1", prefer)); !strings.HasPrefix(render(o), "192.0.2.0 of a, AdditionalAssignFailed") {
		t.Fatalf("got %s", render(o))
	}
	out := a.Update(epoch, nil, []pharos.Name{name("6")})
	if len(out) != 1 || render(out[0]) != "192.0.2.0 and 2001:db8:: of a" {
		t.Errorf("got %v", out)
	}
}

func TestSwapInOneGo(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("a", "192.0.2.0/28")})
	a.Update(epoch, []*pharos.Service{svc("1", requests("192.0.2.1")), svc("2", requests("192.0.2.2"))}, nil)
	out := a.Update(epoch, []*pharos.Service{svc("1", requests("192.0.2.2")), svc("2", requests("192.0.2.1"))}, nil)
	for _, o := range out {
		if len(o.Addrs) != 1 || o.Addrs[0] != o.Service.Requested[0] {
			t.Errorf("%s gets %s", o.Service.Name, render(o))
		}
	}
}

func TestUsage(t *testing.T) {
	a := New()
	reserved := pool("small", "203.0.113.1-203.0.113.3 2001:db8:2::/120")
	reserved.CoolDown = time.Minute
	for _, r := range []string{"203.0.113.1", "203.0.113.2", "192.0.2.9"} { // the last is not the pool's
		reserved.Reservations = append(reserved.Reservations, pharos.Reservation{Service: name("4"), Addr: addr(r)})
	}
	a.SetPools(epoch, []pharos.Pool{
		pool("avoid", "192.0.2.0/24 198.51.100.1-198.51.101.0 10.0.0.0/8", "avoid"),
		pool("large", "2001:db8::/64 2001:db8:1::5-2001:db8:1::7"),
		pool("half", "fd00::/65"),
		reserved,
	})
	a.Update(epoch, []*pharos.Service{
		svc("1", shares("k", 1)), svc("2", shares("k", 2)), svc("3"), svc("4", from("small"), prefer),
		svc("5", clusterIPs("fd00::1"), from("half")), svc("6", from("small")),
	}, nil)
	a.Update(epoch, nil, []pharos.Name{name("6")})
	const most = math.MaxInt64
	avoided := int64(254 + 254 + 1<<24 - 2<<16)
	want := []Usage{
		{"avoid", 3, Count{avoided, 2, 0, 0, avoided - 2}, Count{}},
		{"half", 1, Count{}, Count{most, 1, 0, 0, most}},
		{"large", 0, Count{}, Count{most, 0, 0, 0, most}},
		{"small", 1, Count{3, 1, 1, 1, 0}, Count{256, 1, 0, 0, 255}},
	}
	if got := a.Usage(); !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestSizeAgreesWithCounting(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		first := netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(rng.IntN(256))})
		last := first
		var want, wantAvoid uint64 = 1, 1
		if pharos.Buggy(first) {
			wantAvoid = 0
		}
		for range rng.IntN(1000) {
			last = last.Next()
			want++
			if !pharos.Buggy(last) {
				wantAvoid++
			}
		}
		r := pharos.Range{First: first, Last: last}
		if size(r, false) != want || size(r, true) != wantAvoid {
			t.Fatalf("%s has %d and %d addresses, want %d and %d", r, size(r, false), size(r, true), want, wantAvoid)
		}
	}
}

// A restart: an older Service lacks its second family, and the lowest address of
// that family stands in a younger one's status.
func TestSecondFamilyTakesNothingThatIsKept(t *testing.T) {
	a := New()
	a.SetPools(epoch, []pharos.Pool{pool("p", "192.0.2.0/29 2001:db8::/125")})
	older := svc("older", created(1), prefer, status("192.0.2.0"))
	younger := svc("younger", created(2), clusterIPs("fd00::8"), status("2001:db8::"))
	got := map[string]string{}
	for _, o := range a.Update(epoch, []*pharos.Service{older, younger}, nil) {
		got[o.Service.Name.Name] = render(o)
		if o.Lost.Code != why.OK {
			t.Errorf("%s: %s", o.Service.Name, o.Lost)
		}
	}
	if want := "192.0.2.0 and 2001:db8::1 of p"; got["older"] != want {
		t.Errorf("older has %s, want %s", got["older"], want)
	}
	if want := "2001:db8:: of p"; got["younger"] != want {
		t.Errorf("younger has %s, want %s", got["younger"], want)
	}
}
