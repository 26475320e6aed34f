package ipvs

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane"
	"github.com/pharoslb/pharos/why"
)

// compiled is what one Service is in the kernel.
type compiled struct {
	service  *dataplane.Service
	marks    map[markKey]uint32 // of its groups
	virtuals []virtual
	elements []element
	refused  []dataplane.Refused // frontends that others stand in the way of
}

// markKey is a group that packets from inside are led to by a mark, as the virtual
// services of their addresses lead to another one.
type markKey = dataplane.GroupKey

// compiler turns Services into what they are in the kernel.
type compiler struct {
	node      string // its name
	scheduler string
	nodeAddrs []netip.Addr // at which node ports answer
	own       map[netip.Addr]bool
	others    others

	// mark returns the mark of a Service's group, the same as before if it had one.
	mark func(*dataplane.Service, markKey) uint32
}

// compile returns what the Service is in the kernel.
func (c *compiler) compile(s *dataplane.Service) *compiled {
	b := &builder{compiler: c, out: &compiled{service: s, marks: map[markKey]uint32{}}, seen: map[elementKey]bool{}}
	for i := range s.Frontends {
		f := &s.Frontends[i]
		if f.Kind != dataplane.NodePort {
			if b.frontend(f, f.Addr) && !c.own[f.Addr] {
				b.element(element{elementKey: elementKey{set: setVIPs, addr: f.Addr}})
			}
			continue
		}
		for _, addr := range c.nodeAddrs {
			if addr.Is6() == f.Addr.Is6() {
				b.frontend(f, addr)
			}
		}
	}
	slices.SortFunc(b.out.elements, func(x, y element) int { return x.compare(&y) })
	return b.out
}

type builder struct {
	*compiler
	out  *compiled
	seen map[elementKey]bool
}

func (b *builder) element(e element) {
	if !b.seen[e.elementKey] {
		b.seen[e.elementKey] = true
		b.out.elements = append(b.out.elements, e)
	}
}

// frontend adds what a frontend is at one address, unless others are in the way.
func (b *builder) frontend(f *dataplane.Frontend, addr netip.Addr) bool {
	s := b.out.service
	outside, inside := &s.Groups[f.Outside], &s.Groups[f.Inside]
	protocol := number(f.Protocol)
	v := virtual{virtualKey: virtualKey{addr: addr, protocol: uint16(protocol), port: f.Target.Port}}
	if b.others.have(v.virtualKey, b.own[addr]) {
		b.refuse(f, addr)
		return false
	}
	at := func(set setName, mark uint32) {
		b.element(element{elementKey{set: set, addr: addr, protocol: protocol, port: f.Target.Port}, mark})
	}
	at(setFrontends, 0)
	if direct(f, outside) {
		v.setting, v.dests = mh(outside), owners(outside, b.node)
	} else {
		v.setting, v.dests, v.drains = b.setting(outside, true), b.dests(outside), f.Protocol != pharos.UDP
	}
	b.out.virtuals = append(b.out.virtuals, v)
	if direct(f, outside) || f.Inside != f.Outside {
		at(setMark, b.marked(inside))
	}
	b.refusals(f, outside, inside, at)
	switch f.Masquerade {
	case dataplane.MasqueradeEverybody:
		at(setMasqIn, 0)
		if !direct(f, outside) {
			at(setMasqOut, 0)
		}
	case dataplane.MasqueradeForeign:
		at(setMasqOut, 0)
	}
	if f.Sources != nil {
		at(setGuarded, 0)
		for _, p := range f.Sources {
			for _, p := range halves(p) {
				b.element(element{elementKey: elementKey{set: setAllowed, addr: addr, protocol: protocol, port: f.Target.Port, client: p}})
			}
		}
	}
	return true
}

// refuse notes that a frontend is not served at an address. A node port goes on at
// the node's other ones.
func (b *builder) refuse(f *dataplane.Frontend, addr netip.Addr) {
	target := f.Target
	target.Addr = addr
	b.out.refused = append(b.out.refused, dataplane.Refused{
		Target: target,
		Reason: why.New(why.FrontendOccupied, "%s: another program has a virtual service of IPVS at %s (ipvsadm -ln); it is served once that is gone", target, addr),
	})
}

// refusals adds who gets no answer. Where a virtual service has no destination
// the kernel itself tells the sender that nobody answers.
func (b *builder) refusals(f *dataplane.Frontend, outside, inside *dataplane.Group, at func(setName, uint32)) {
	if len(outside.Backends) == 0 && outside.Empty == dataplane.Drop && !direct(f, outside) {
		at(setDropOut, 0)
	}
	if len(inside.Backends) == 0 && inside.Empty == dataplane.Drop {
		at(setDropIn, 0)
	}
}

// marked returns a group's mark, with the virtual service that it leads to.
func (b *builder) marked(g *dataplane.Group) uint32 {
	key := g.Key()
	if mark, ok := b.out.marks[key]; ok {
		return mark
	}
	mark := b.mark(b.out.service, key)
	b.out.marks[key] = mark
	b.out.virtuals = append(b.out.virtuals, virtual{
		virtualKey: virtualKey{addr: unspecified(g.IPv6), mark: mark},
		setting:    b.setting(g, false), dests: b.dests(g), drains: g.Protocol != pharos.UDP,
	})
	return mark
}

// coarse is how many destinations the scheduler sh spreads clients among fairly:
// it has 256 slots.
const coarse = 64

// setting is that of a virtual service for a group. With session affinity, a hash
// of the client's address makes the first choice, so that all frontends of a
// Service make the same. Persistence then holds on to it while endpoints come and
// go. The kernel can't persist and translate the port for the virtual service of a
// mark, so that there the hash alone has to do.
func (b *builder) setting(g *dataplane.Group, persist bool) setting {
	if g.Affinity == 0 {
		return setting{scheduler: b.scheduler}
	}
	s := setting{scheduler: "sh", flags: flagFallback}
	if len(g.Backends) > coarse {
		s.scheduler = "mh"
	}
	if persist {
		s.flags |= flagPersistent
		s.timeout = uint32(max(1, g.Affinity/time.Second))
	}
	return s
}

// dests returns the destinations of a group that are translated here, and notes
// those that may be their own clients.
func (b *builder) dests(g *dataplane.Group) []dest {
	result := make([]dest, len(g.Backends))
	for i, backend := range g.Backends {
		result[i] = dest{backend.Addr, 1, masq}
		if addr := backend.Addr.Addr(); backend.Local && !b.own[addr] {
			b.element(element{elementKey: elementKey{
				set: setLoop, addr: addr, protocol: number(g.Protocol), port: backend.Addr.Port(), client: netip.PrefixFrom(addr, addr.BitLen())}})
		}
	}
	return result
}

// halves returns a network as the kernel takes it in a set: it takes none that
// holds all addresses.
func halves(p netip.Prefix) []netip.Prefix {
	if p.Bits() > 0 {
		return []netip.Prefix{p}
	}
	upper := p.Addr().AsSlice()
	upper[0] = 0x80
	addr, _ := netip.AddrFromSlice(upper)
	return []netip.Prefix{netip.PrefixFrom(p.Addr(), 1), netip.PrefixFrom(addr, 1)}
}

func unspecified(ipv6 bool) netip.Addr {
	if ipv6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}
