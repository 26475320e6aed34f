package bgp

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// route is what one path of a receiver goes by; id is 0 where paths are not told
// apart.
type route struct {
	prefix netip.Prefix
	id     uint32
}

// receiver is a peer's Adj-RIB-In as RFC 4271, 7911 and 7313 have it.
type receiver struct {
	t       *testing.T
	seed    uint64
	session wire.Session
	routes  map[route]string
	stale   map[route]bool
	begun   map[wire.Family]int // when the refresh under way began
	ended   map[wire.Family]bool
	step    int
	since   map[route]int // since when it is wanted without a break
}

func (r *receiver) reset() {
	r.routes, r.stale = make(map[route]string), make(map[route]bool)
	r.begun, r.ended = make(map[wire.Family]int), make(map[wire.Family]bool)
}

func (r *receiver) fail(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("seed %d, step %d: %s", r.seed, r.step, fmt.Sprintf(format, args...))
}

func (r *receiver) key(p netip.Prefix, ids []uint32, i int) route {
	if i < len(ids) {
		return route{p, ids[i]}
	}
	return route{p, 0}
}

func (r *receiver) read(octets []byte) {
	in := wire.NewReader(bytes.NewReader(octets))
	for {
		m, err := in.Next()
		if err != nil {
			return
		}
		if m.Type == wire.TypeRouteRefresh {
			f, err := wire.DecodeRouteRefresh(m.Body)
			if err != nil {
				r.fail("%v", err)
			}
			r.refresh(f)
			continue
		}
		var u wire.Update
		if rep := r.session.DecodeUpdate(m.Body, &u); rep.Outcome != wire.Accept {
			r.fail("%v", rep.Findings)
		}
		if u.EndOfRIB != (wire.Family{}) {
			r.ended[u.EndOfRIB] = true
		}
		for i, p := range u.Withdrawn {
			k := r.key(p, u.WithdrawnPaths, i)
			if _, ok := r.routes[k]; !ok {
				r.fail("%v withdrawn, which is not there", k)
			}
			delete(r.routes, k)
			delete(r.stale, k)
		}
		for i, p := range u.NLRI {
			k := r.key(p, u.NLRIPaths, i)
			r.routes[k] = fmt.Sprint(u.Attrs.MED.Value, len(u.Attrs.Communities))
			delete(r.stale, k)
		}
	}
}

func (r *receiver) refresh(m *wire.RouteRefresh) {
	switch m.Subtype {
	case wire.RefreshBegin:
		if !r.ended[m.Family] {
			r.fail("a refresh of %v begins before its End-of-RIB (RFC 7313 §4)", m.Family)
		}
		r.begun[m.Family] = r.step
		for k := range r.routes {
			if wire.FamilyOf(k.prefix) == m.Family {
				r.stale[k] = true
			}
		}
	case wire.RefreshEnd:
		for k := range r.stale {
			if wire.FamilyOf(k.prefix) != m.Family {
				continue
			}
			if s, ok := r.since[k]; ok && s <= r.begun[m.Family] {
				r.fail("%v is lost with the end of a refresh", k)
			}
			delete(r.routes, k)
			delete(r.stale, k)
		}
	}
}

// Whatever is asked for, and whenever, of several paths to a prefix, the peer ends up
// with what it shall have, whether it tells paths apart or not; and a refresh takes
// nothing away.
func TestAnySequenceOfPathsEndsTheSame(t *testing.T) {
	tooLong := &Attrs{Communities: make([]wire.Community, 2000)}
	sets := []*Attrs{nil, nil, tooLong}
	for i := range 4 {
		sets = append(sets, &Attrs{MED: new(uint32)})
		*sets[len(sets)-1].MED = uint32(i)
	}
	families := []wire.Family{wire.IPv4Unicast, wire.IPv6Unicast}
	var prefixes []netip.Prefix
	for i := range 6 {
		prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32))
	}
	for i := range 3 {
		prefixes = append(prefixes, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(i)}), 128))
	}
	exports := [][]netip.Prefix{nil, {}, {netip.MustParsePrefix("10.0.0.0/30")}, {netip.MustParsePrefix("10.0.0.4/30"), netip.MustParsePrefix("2001:db8::/32")}}
	for seed := range uint64(1000) {
		r := rand.New(rand.NewPCG(seed, 9))
		conf := Config{}
		table := newAdjOut(&conf, false)
		table.limit = 1 + r.IntN(6)
		out := outbound{
			session: wire.Session{AS4: true, Families: families, EnhancedRefresh: r.IntN(3) > 0},
			localAS: 65001, nextHop4: netip.MustParseAddr("192.0.2.1"), nextHop6: netip.MustParseAddr("2001:db8::1"),
		}
		peer := &receiver{t: t, seed: seed, session: out.session, since: make(map[route]int)}
		switch r.IntN(3) {
		case 0:
			out.session.AddPathSend = families
		case 1:
			out.session.AddPathSend = families[1:]
		}
		peer.session.AddPathReceive = out.session.AddPathSend
		peer.reset()
		owner := &conn{wake: make(chan struct{}, 1)}
		want := make(map[route]*Attrs) // by prefix and path, as asked for
		// shall is what the receiver ought to have in the end.
		shall := func() map[route]string {
			m := make(map[route]string)
			for k, a := range want {
				lower := false
				if !slices.Contains(out.session.AddPathSend, wire.FamilyOf(k.prefix)) {
					for o, b := range want {
						lower = lower || o.prefix == k.prefix && o.id < k.id && b != tooLong
					}
				}
				if a == tooLong || lower || !exportsAny(conf.Export, k.prefix) {
					continue
				}
				n := 0
				if conf.GracefulShutdown {
					n = 1
				}
				id := k.id
				if !slices.Contains(out.session.AddPathSend, wire.FamilyOf(k.prefix)) {
					id = 0
				}
				m[route{k.prefix, id}] = fmt.Sprint(*a.MED, n)
			}
			return m
		}
		note := func() {
			peer.step++
			now := shall()
			for k := range peer.since {
				if _, ok := now[k]; !ok {
					delete(peer.since, k)
				}
			}
			for k := range now {
				if _, ok := peer.since[k]; !ok {
					peer.since[k] = peer.step
				}
			}
		}
		attached := false
		write := func() bool {
			octets, _ := table.pack(nil, owner, time.Now())
			peer.read(octets)
			return len(octets) > 0
		}
		for range 60 {
			switch r.IntN(12) {
			case 0:
				if attached {
					table.detach()
				} else {
					peer.reset()
					table.attach(out, owner)
				}
				attached = !attached
			case 1:
				conf.Export = exports[r.IntN(len(exports))]
				table.configure(&conf)
			case 2:
				conf.GracefulShutdown = !conf.GracefulShutdown
				table.configure(&conf)
			case 3:
				clear(want)
				for _, p := range prefixes {
					if a := sets[r.IntN(len(sets))]; a != nil {
						want[route{p, 0}] = a
					}
				}
				table.replace(func(yield func(netip.Prefix, *Attrs) bool) {
					for k, a := range want {
						if !yield(k.prefix, a) {
							return
						}
					}
				})
			case 4, 5:
				table.resend(families[r.IntN(2)])
			case 6, 7, 8:
				write()
			default:
				var changes []Change
				for range 1 + r.IntN(6) {
					c := Change{Prefix: prefixes[r.IntN(len(prefixes))], Path: uint32(r.IntN(3)), Attrs: sets[r.IntN(len(sets))]}
					changes = append(changes, c)
					if want[route{c.Prefix, c.Path}] = c.Attrs; c.Attrs == nil {
						delete(want, route{c.Prefix, c.Path})
					}
				}
				table.set(changes)
			}
			note()
		}
		if !attached {
			peer.reset()
			table.attach(out, owner)
		}
		for range 1000 { // as the writer does: until there is nothing
			if !write() {
				break
			}
		}
		if got, want := peer.routes, shall(); !maps.Equal(got, want) {
			peer.fail("the peer has %v, shall have %v", got, want)
		}
		var s SessionStatus
		s.Families = []FamilyStatus{{Family: families[0]}, {Family: families[1]}}
		table.report(&s)
		if s.Pending != 0 || s.Desired != len(want) || s.Advertised != len(peer.routes) || s.Withheld != len(want)-len(peer.routes) {
			peer.fail("status: pending %d, desired %d of %d, advertised %d of %d, withheld %d", s.Pending, s.Desired, len(want), s.Advertised, len(peer.routes), s.Withheld)
		}
		if !peer.ended[families[0]] || !peer.ended[families[1]] {
			peer.fail("End-of-RIB: %v", peer.ended)
		}
	}
}

func exportsAny(prefixes []netip.Prefix, p netip.Prefix) bool {
	return prefixes == nil || slices.ContainsFunc(prefixes, func(e netip.Prefix) bool { return covers(e, p) })
}
