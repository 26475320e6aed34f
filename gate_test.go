package pharos

import (
	"net/netip"
	"testing"

	"github.com/pharoslb/pharos/why"
)

// Each Snapshot in turn, with one address in use or none, leads to what is
// written beside it: the configuration in force, by its first pool's name, and
// why the newest is not.
func TestGate(t *testing.T) {
	const orphans = "address 192.0.2.7 of Service default/web would be in no pool; delete the Service or keep the range"
	config := func(name, prefix string, reassign bool) *Config {
		c := &Config{Reassign: reassign}
		if name != "" {
			c.Pools = []Pool{{Name: name, Ranges: []Range{PrefixRange(netip.MustParsePrefix(prefix))}}}
		}
		return c
	}
	has, other := config("has", "192.0.2.0/28", false), config("other", "198.51.100.0/28", false)
	third := config("third", "203.0.113.0/28", false)
	hasR, otherR, none := config("has", "192.0.2.0/28", true), config("other", "198.51.100.0/28", true), config("", "", true)
	type step struct {
		next  *Config
		inUse bool
		want  string
	}
	for _, c := range []struct {
		name   string
		speaks bool
		steps  []step
	}{
		{"the ConfigMap takes nothing away", false, []step{
			{has, true, "has"}, {other, true, "has, " + orphans}, {other, true, "has, " + orphans}, {config("has", "192.0.2.0/28", false), true, "has"},
			{other, true, "has, " + orphans}, {other, false, "other"},
		}},
		{"resources have the controller give others", false, []step{{hasR, true, "has"}, {otherR, true, "other"}}},
		{"and speakers wait for it", true, []step{{hasR, true, "has"}, {otherR, true, "has, " + orphans}, {otherR, false, "other"}}},
		{"no pools is no order to take all", false, []step{{hasR, true, "has"}, {none, true, "has, " + orphans}, {none, false, ""}}},
		{"nor at a start", false, []step{{none, true, "nil, " + orphans}, {hasR, true, "has"}}},
		{"a controller that starts gives out nothing", false, []step{{other, true, "nil, " + orphans}, {other, true, "nil, " + orphans}, {other, false, "other"}}},
		{"with resources it does", false, []step{{otherR, true, "other"}}},
		{"a speaker that starts announces the rest", true, []step{{other, true, "other, " + orphans}, {other, true, "other, " + orphans},
			{config("other", "198.51.100.0/28", false), true, "other, " + orphans}, {other, false, "other"}, {other, true, "other"}}},
		{"it judges as the controller does", true, []step{{other, true, "other, " + orphans}, {third, true, "other, " + orphans}, {has, true, "has"}}},
		{"with resources too", true, []step{{otherR, true, "other, " + orphans}, {otherR, false, "other"}}},
		{"a cluster without any", false, []step{{nil, false, "nil, " + why.ConfigMissing.Text()}, {none, false, ""}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := Gate{Announces: c.speaks}
			for i, s := range c.steps {
				web := &Service{Name: Name{"default", "web"}, Type: LoadBalancer, AllocatedFrom: "has"}
				if s.inUse {
					web.Ingress = []netip.Addr{netip.MustParseAddr("192.0.2.7")}
				}
				services := Map[Name, *Service]{}.With(web.Name, web)
				was := g.Config
				changed := g.Step(&Snapshot{Synced: true, Config: s.next, Services: services}, Noted{Services: services, Config: g.Config})
				got := "nil"
				if g.Config != nil {
					got = ""
					for _, p := range g.Config.Pools {
						got += p.Name
					}
				}
				if g.Reason.Code != why.OK {
					got += ", " + g.Reason.String()
				}
				if got != s.want || changed != (was != g.Config) {
					t.Errorf("step %d: got %s\nwant %s", i, got, s.want)
				}
			}
		})
	}
}

// A pool that is wrong when a controller starts is left out of the configuration.
// Its addresses, given out while it was right, are not replaced by others of
// another pool; those of a pool that was deleted meanwhile are, and so they are
// once it is deleted.
func TestPoolThatIsWrongAtAStart(t *testing.T) {
	other := func() *Config {
		return &Config{Reassign: true, Pools: []Pool{{Name: "other", Ranges: []Range{PrefixRange(netip.MustParsePrefix("198.51.100.0/28"))}}}}
	}
	problem := func(kind, name, field string, code why.Code) []Problem {
		return []Problem{{Object: Ref{Kind: kind, Namespace: "ns", Name: name}, Field: field, Reason: why.New(code, "wrong")}}
	}
	for _, c := range []struct {
		name     string
		problems []Problem
		taken    bool
	}{
		{"the pool", problem("IPAddressPool", "web", "spec.addresses[0]", why.ConfigInvalid), false},
		{"another pool", problem("IPAddressPool", "shop", "", why.ConfigInvalid), true},
		{"a peer of the pool's name", problem("BGPPeer", "web", "", why.ConfigInvalid), true},
		{"the ConfigMap", problem("ConfigMap", "config", "", why.ConfigInvalid), false},
		{"the ConfigMap, which is in conflict", problem("ConfigMap", "config", "address-pools[0].addresses[0]", why.ConfigInvalid), false},
		{"text for FRR", problem("ConfigMap", "bgpextras", "data.extras", why.ConfigInvalid), true},
		{"nothing", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			web := &Service{Name: Name{"default", "web"}, Type: LoadBalancer, AllocatedFrom: "web", Ingress: []netip.Addr{netip.MustParseAddr("192.0.2.7")}}
			snap := &Snapshot{Synced: true, Config: other(), Problems: c.problems, Services: Map[Name, *Service]{}.With(web.Name, web)}
			var g Gate
			if g.Step(snap, Noted{Services: snap.Services}); (g.Config != nil) != c.taken {
				t.Errorf("in force: %t, want %t", g.Config != nil, c.taken)
			}
			snap = &Snapshot{Synced: true, Config: other(), Services: snap.Services}
			if g.Step(snap, Noted{Services: snap.Services}); g.Config == nil {
				t.Errorf("it is deleted, and its addresses stay: %v", g.Reason)
			}
			// One that becomes wrong later has its last good version in the
			// configuration, or was deleted before.
			snap = &Snapshot{Synced: true, Config: &Config{Reassign: true, Pools: append(other().Pools, Pool{Name: "more"})}, Problems: c.problems, Services: snap.Services}
			if !g.Step(snap, Noted{Services: snap.Services}) {
				t.Errorf("refused while running: %v", g.Reason)
			}
		})
	}
}

func TestNotedAddresses(t *testing.T) {
	a, b, c := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("192.0.2.3")
	services := map[Name]*Service{}
	put := func(name string, edit func(*Service)) {
		s := &Service{Name: Name{"default", name}, Type: LoadBalancer, AllocatedFrom: "p", Ingress: []netip.Addr{a}}
		edit(s)
		services[s.Name] = s
	}
	put("b", func(*Service) {})
	put("a", func(s *Service) { s.Ingress = append(s.Ingress, b) })
	put("0", func(s *Service) { s.Type = ClusterIP })
	put("1", func(s *Service) { s.Class = "other" })
	put("foreign", func(s *Service) { s.AllocatedFrom, s.Ingress = "", []netip.Addr{netip.MustParseAddr("203.0.113.9")} })
	n := Noted{Services: MapOf(services)}
	if got := n.InUse(); len(got) != 2 || got[a].Name != "a" || got[b].Name != "a" {
		t.Errorf("with nothing in force: %v", got)
	}
	n.Config = &Config{Pools: []Pool{{Name: "p", Ranges: []Range{{a, a}}}}}
	put("v0.9.5", func(s *Service) { s.AllocatedFrom, s.Ingress = "", []netip.Addr{a} })
	put("v0.9.5 too", func(s *Service) { s.AllocatedFrom, s.Ingress = "", []netip.Addr{c} })
	n.Config.Pools[0].Ranges = append(n.Config.Pools[0].Ranges, Range{c, c})
	n.Services = MapOf(services)
	if got := n.InUse(); len(got) != 3 || got[c].Name != "v0.9.5 too" {
		t.Errorf("with a pool: %v", got)
	}
	for name, want := range map[string]bool{"a": true, "b": true, "0": false, "1": false, "foreign": false, "none": false} {
		if n.Uses(Name{"default", name}, a) != want {
			t.Errorf("%s uses %s: %v", name, a, !want)
		}
	}
}
