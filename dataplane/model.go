package dataplane

import (
	"context"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
)

// Model is a data plane in memory: it answers where a packet goes, as every
// driver's kernel has to. It is a Driver itself, but belongs to one goroutine.
type Model struct {
	state    *State
	index    map[Target]entry
	vips     map[netip.Addr]map[Kind]int // frontends of each kind, node ports aside
	affinity map[affinityKey]sticky
	status   DriverStatus
	random   *rand.Rand

	connections map[connection]Answer // accepted ones
}

type entry struct {
	service  *Service
	frontend *Frontend
}

type affinityKey struct {
	service pharos.Name
	group   GroupKey
	client  netip.Addr
}

type sticky struct {
	backend netip.AddrPort
	until   time.Time
}

// NewModel returns a Model of an empty State, whose choices follow from seed.
func NewModel(seed uint64) *Model {
	return &Model{
		state:    &State{},
		index:    map[Target]entry{},
		vips:     map[netip.Addr]map[Kind]int{},
		affinity: map[affinityKey]sticky{},
		status:   DriverStatus{Driver: "model"},
		random:   rand.New(rand.NewPCG(seed, 0)),

		connections: map[connection]Answer{},
	}
}

// Name returns "model".
func (m *Model) Name() string { return "model" }

// Apply makes the model answer as state says. It never fails.
func (m *Model) Apply(_ context.Context, state *State) error {
	changed := !state.Node.Equal(&m.state.Node)
	for name := range state.Services.Diff(m.state.Services) {
		changed = true
		if s, ok := m.state.Services.Get(name); ok {
			m.remove(s)
		}
	}
	for name := range state.Services.Diff(m.state.Services) {
		if s, ok := state.Services.Get(name); ok {
			m.add(s)
		}
	}
	if changed {
		m.status.Applied++
	}
	m.state, m.status.Revision = state, state.Revision
	return nil
}

func (m *Model) add(s *Service) {
	for i := range s.Frontends {
		f := &s.Frontends[i]
		m.index[f.Target] = entry{s, f}
		m.status.Added++
		if f.Kind != NodePort {
			if m.vips[f.Addr] == nil {
				m.vips[f.Addr] = map[Kind]int{}
			}
			m.vips[f.Addr][f.Kind]++
		}
	}
}

func (m *Model) remove(s *Service) {
	for i := range s.Frontends {
		f := &s.Frontends[i]
		delete(m.index, f.Target)
		m.status.Removed++
		if f.Kind == NodePort {
			continue
		}
		if m.vips[f.Addr][f.Kind]--; m.vips[f.Addr][f.Kind] == 0 {
			delete(m.vips[f.Addr], f.Kind)
		}
		if len(m.vips[f.Addr]) == 0 {
			delete(m.vips, f.Addr)
		}
	}
}

// Verify has nothing to repair: nobody else changes the model.
func (m *Model) Verify(context.Context) (bool, error) { return false, nil }

// Remove empties the model.
func (m *Model) Remove(ctx context.Context) error { return m.Apply(ctx, &State{}) }

// Status returns a copy of the counters.
func (m *Model) Status() DriverStatus {
	return m.status
}

// Where answers where a packet may go of whose connection this node remembers
// nothing, as of a new one's first.
func (m *Model) Where(p Packet) Answer {
	answer, _, _ := m.where(p)
	return answer
}

// Send is Where with one backend chosen, and remembered: for the connection, and
// for the client where the Service has session affinity.
func (m *Model) Send(now time.Time, p Packet) Answer {
	answer, group, service := m.where(p)
	if answer.Action == Forward && answer.As == ForwardedOn {
		return answer // as an ingress the node remembers nothing
	}
	if was, ok := m.known(p, group); ok {
		return was
	}
	if answer.Action != Accept {
		return answer
	}
	answer = m.choose(now, p, answer, group, service)
	if p.SrcPort != 0 && !p.Error {
		m.connections[p.connection()] = answer
	}
	return answer
}

// choose picks one of an answer's backends.
func (m *Model) choose(now time.Time, p Packet, answer Answer, group *Group, service *Service) Answer {
	chosen := answer.Backends[m.random.IntN(len(answer.Backends))]
	if group.Affinity > 0 {
		key := affinityKey{service.Name, group.Key(), p.Src}
		if s, ok := m.affinity[key]; ok && now.Before(s.until) {
			if i := slices.IndexFunc(answer.Backends, func(b Backend) bool { return b.Addr == s.backend }); i >= 0 {
				chosen = answer.Backends[i]
			}
		}
		maps.DeleteFunc(m.affinity, func(_ affinityKey, s sticky) bool { return !now.Before(s.until) })
		m.affinity[key] = sticky{chosen.Addr, now.Add(group.Affinity)}
	}
	answer.Backends = []Backend{chosen}
	answer.Masquerade = m.masquerades(answer.Masquerade, p, chosen.Addr.Addr())
	return answer
}

// masquerades says whether a connection gets another source on its way to a
// chosen backend. What ends on the node itself never leaves it, and source
// addresses are only changed where packets leave.
func (m *Model) masquerades(asked bool, p Packet, backend netip.Addr) bool {
	if !p.Own && slices.Contains(m.state.Node.Addresses, backend) {
		return false
	}
	return asked || backend == p.Src
}

func (m *Model) where(p Packet) (Answer, *Group, *Service) {
	inside := p.Own || contains(m.state.Node.PodCIDRs, p.Src)
	e, ok := m.lookup(p)
	if !ok {
		return Answer{Action: m.unmatched(p, inside)}, nil, nil
	}
	answer := Answer{Service: e.service.Name}
	if !e.frontend.Admits(p.Src) {
		answer.Action = Drop
		return answer, nil, nil
	}
	i := e.frontend.Outside
	if inside {
		i = e.frontend.Inside
	}
	group := &e.service.Groups[i]
	if e.frontend.Direct && !inside {
		answer = m.direct(p, group)
		answer.Service = e.service.Name
		return answer, group, e.service
	}
	if len(group.Backends) == 0 {
		answer.Action = group.Empty
		return answer, nil, nil
	}
	answer.Action, answer.Backends = Accept, group.Backends
	switch e.frontend.Masquerade {
	case MasqueradeEverybody:
		answer.Masquerade = true
	case MasqueradeOwnNode:
		answer.Masquerade = p.Own
	case MasqueradeForeign:
		answer.Masquerade = !contains(m.state.Node.PodCIDRs, p.Src)
	}
	return answer, group, e.service
}

func (m *Model) lookup(p Packet) (entry, bool) {
	if e, ok := m.index[Target{p.Dst.Addr(), p.Protocol, p.Dst.Port()}]; ok {
		return e, true
	}
	served := !p.Dst.Addr().IsLoopback() && slices.Contains(m.state.Node.Addresses, p.Dst.Addr()) &&
		(len(m.state.Node.NodePorts) == 0 || contains(m.state.Node.NodePorts, p.Dst.Addr()))
	if !served {
		return entry{}, false
	}
	any := netip.IPv4Unspecified()
	if p.Dst.Addr().Is6() {
		any = netip.IPv6Unspecified()
	}
	e, ok := m.index[Target{any, p.Protocol, p.Dst.Port()}]
	return e, ok
}

// unmatched says what becomes of a packet to a Service's address that no
// frontend answers. A ClusterIP belongs to nobody else, so it ends here. An
// address announced to the network would go out again and come back until its
// TTL ends, so it ends here too unless it is the node's own or the packet starts
// inside: then it may be on its way to somebody who answers.
func (m *Model) unmatched(p Packet, inside bool) Action {
	vip := m.vips[p.Dst.Addr()]
	switch {
	case len(vip) == 0:
		return Pass
	case vip[ClusterIP] > 0:
		return Reject
	case inside || slices.Contains(m.state.Node.Addresses, p.Dst.Addr()):
		return Pass
	}
	return Reject
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}
