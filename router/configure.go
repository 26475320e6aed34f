package router

import (
	"net/netip"
	"reflect"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// Set replaces the configuration. Sessions that it does not change are not
// touched. An invalid one changes nothing.
func (r *Router) Set(c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	r.set.Lock()
	defer r.set.Unlock()
	r.mu.Lock()
	readmitted := r.configure(c, time.Now())
	sessions := r.sessions()
	r.mu.Unlock()
	r.poke()
	err := r.speaker.SetPeers(sessions)
	if len(readmitted) > 0 {
		r.speaker.Reset("", readmitted...)
	}
	return err
}

// configure makes the tables fit the configuration. The engine is told later, so
// that no session comes up in a table that is about to go. It returns the neighbors
// that were shut and are configured anew.
func (r *Router) configure(c Config, now time.Time) (readmitted []string) {
	old, before := r.config, r.byName
	r.config, r.byName = c, c.byName()
	if r.tables == nil || c.AS != old.AS || c.RouterID != old.RouterID {
		r.dropTables()
		r.tables = map[wire.Family]*rib.Table{
			wire.IPv4Unicast: rib.NewTable(wire.IPv4Unicast, c.AS, c.RouterID),
			wire.IPv6Unicast: rib.NewTable(wire.IPv6Unicast, c.AS, c.RouterID),
		}
		r.connect(now)
	}
	for f, t := range r.tables {
		t.SetPolicy(c.policy(f))
	}
	if err := r.opt.FIB.Resilient(c.Resilient); err != nil {
		r.refused(err)
	}
	for name := range before {
		if r.byName[name] == nil {
			r.forget(name)
		}
	}
	for i := range c.Neighbors {
		delete(r.dynamic, c.Neighbors[i].Name()) // it has settings of its own now
	}
	r.retire(now)
	r.instruct()
	for peer := range r.tripped {
		name := peer
		if d := r.dynamic[peer]; d != nil {
			name = d.template
		}
		if !reflect.DeepEqual(before[name], r.byName[name]) {
			delete(r.tripped, peer)
			readmitted = append(readmitted, peer)
		}
	}
	clear(r.awaited)
	for i := range c.Neighbors {
		n := &c.Neighbors[i]
		if _, ok := r.downSince[n.Name()]; !ok {
			r.downSince[n.Name()] = now
		}
		if n.active() && !r.sweepAt.IsZero() {
			r.await(n)
		}
	}
	return readmitted
}

// instruct tells the tables which neighbors' routes to avoid, and how many to take. Sessions
// go on; who has more than he may already is shut when he announces another.
func (r *Router) instruct() {
	for f, t := range r.tables {
		tell := func(peer string, n *Neighbor) {
			t.Drain(peer, n.Draining)
			t.SetLimit(peer, n.MaxPrefixes[f].hard())
		}
		for i := range r.config.Neighbors {
			tell(r.config.Neighbors[i].Name(), &r.config.Neighbors[i])
		}
		for peer := range r.dynamic {
			tell(peer, r.neighbor(peer))
		}
	}
}

// await keeps the sweep waiting for a neighbor's table; for those of a prefix until
// sweepAfter, as nobody knows who will come.
func (r *Router) await(n *Neighbor) {
	families := make(map[wire.Family]bool, len(n.Families))
	for _, f := range n.Families {
		families[f] = true
	}
	r.awaited[n.Name()] = families
}

// dropTables removes every route of tables that are about to be replaced.
func (r *Router) dropTables() {
	var routes []rib.Route
	for _, t := range r.tables {
		for _, route := range t.Routes() {
			routes = append(routes, rib.Route{Prefix: route.Prefix})
		}
	}
	if len(routes) > 0 {
		r.apply(routes)
	}
	clear(r.keeps)
	clear(r.refreshes)
}

// sessions are those that the engine shall keep.
func (r *Router) sessions() []bgp.Config {
	var out []bgp.Config
	for i := range r.config.Neighbors {
		if n := &r.config.Neighbors[i]; n.active() {
			out = append(out, n.session(&r.config))
		}
	}
	return out
}

// Clear resets the session with a neighbor, given by its name or address, with those of
// a prefix, or with all of them when it is empty, and reports whether there is such a neighbor. One that is
// shut for exceeding its limit is let in again.
func (r *Router) Clear(neighbor string) bool {
	r.set.Lock()
	defer r.set.Unlock()
	r.mu.Lock()
	names := r.named(neighbor)
	for _, name := range names {
		delete(r.tripped, name)
	}
	r.mu.Unlock()
	r.poke()
	r.speaker.Reset("", names...)
	return len(names) > 0 || neighbor == ""
}

// ClearSoft asks a neighbor, those of a prefix, or all of them, for its routes of a family once more, and
// reports whether there is such a neighbor (RFC 2918).
func (r *Router) ClearSoft(neighbor string, f wire.Family) bool {
	r.mu.Lock()
	names := r.named(neighbor)
	r.mu.Unlock()
	r.speaker.Refresh(f, names...)
	return len(names) > 0 || neighbor == ""
}

// named are the names of the neighbors with this name or address, or of this prefix; of
// all if it is empty. The caller holds mu.
func (r *Router) named(neighbor string) []string {
	var names []string
	is := func(name string, addr netip.Addr) bool {
		return neighbor == "" || neighbor == name || addr.IsValid() && (neighbor == addr.String() || neighbor == addr.WithZone("").String())
	}
	for i := range r.config.Neighbors {
		n := &r.config.Neighbors[i]
		if name := n.Name(); !n.Prefix.IsValid() && (is(name, n.Addr) || is(name, r.addrs[name])) {
			names = append(names, name)
		}
	}
	for _, name := range r.dynamicNames() {
		if d := r.dynamic[name]; is(name, d.addr) || neighbor == d.template {
			names = append(names, name)
		}
	}
	return names
}
