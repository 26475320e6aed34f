package ipam

import (
	"container/heap"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pharoslb/pharos"
)

// groupKey is what the users of one address have in common. Sharing is empty for
// a Service that shares with nobody. Backend is empty with traffic policy
// Cluster, where any node can reach any endpoint, and else the pod selector:
// with policy Local a node that has the endpoints of one has those of the other.
type groupKey struct{ sharing, backend string }

func keyOf(svc *pharos.Service) groupKey {
	key := groupKey{sharing: svc.SharingKey}
	if key.sharing != "" && svc.ExternalLocal {
		key.backend = svc.Selector
	}
	return key
}

type port struct {
	protocol pharos.Protocol
	number   uint16
}

// String returns protocol/number.
func (p port) String() string { return string(p.protocol) + "/" + strconv.Itoa(int(p.number)) }

func portsOf(svc *pharos.Service) []port {
	ports := make([]port, 0, len(svc.Ports))
	for _, p := range svc.Ports {
		ports = append(ports, port{p.Protocol, p.Port})
	}
	return ports
}

// holding is one address in use.
type holding struct {
	place
	stock *stock
	users []*claim        // never empty
	ports map[port]*claim // of all users; nil where there is no sharing key
}

// conflict says why a claim may not have the address beside those who have it,
// or "".
func (h *holding) conflict(c *claim) string {
	first := h.users[0]
	name := first.Service.Name
	switch {
	case first.key.sharing == "" || c.key.sharing == "":
		return name.String()
	case first.key.sharing != c.key.sharing:
		return fmt.Sprintf("%s, with another sharing key", name)
	case first.key != c.key:
		return fmt.Sprintf("%s, with other backends: with externalTrafficPolicy Local both need the same pod selector", name)
	}
	for _, p := range c.ports {
		if user := h.ports[p]; user != nil {
			return fmt.Sprintf("%s, on the same port %d/%s", user.Service.Name, p.number, p.protocol)
		}
	}
	return ""
}

// group are the addresses in use under one key in one line.
type group struct {
	members map[netip.Addr]place

	// A search is kept for each set of ports that somebody asked for, so that the
	// addresses that lack them need not be looked at again and again. What joins
	// is noted once, for all searches to take up when they are used next.
	searches map[string]*search
	byPort   map[port][]*search
	joined   []place
}

// maxSearches bounds how many sets of ports a group remembers.
const maxSearches = 4096

// search holds the places that may have its ports free, the first on top: each
// one that has is among them, or in group.joined from seen on.
type search struct {
	heap   places
	queued map[netip.Addr]struct{} // what is in heap
	seen   int
}

func (s *search) push(p place) {
	if _, ok := s.queued[p.addr]; !ok {
		s.queued[p.addr] = struct{}{}
		heap.Push(&s.heap, p)
	}
}

// signature renders ports so that equal sets have equal strings.
func signature(ports []port) string {
	if len(ports) == 1 {
		return ports[0].String()
	}
	texts := make([]string, 0, len(ports))
	for _, p := range ports {
		texts = append(texts, p.String())
	}
	slices.Sort(texts)
	return strings.Join(texts, " ")
}

// first returns the first address that the claim may share.
func (g *group) first(c *claim, held map[netip.Addr]*holding) (place, bool) {
	s := g.search(c)
	for _, p := range g.joined[s.seen:] {
		s.push(p)
	}
	s.seen = len(g.joined)
	for len(s.heap) > 0 {
		top := s.heap[0]
		if _, ok := g.members[top.addr]; ok && held[top.addr].conflict(c) == "" {
			return top, true
		}
		heap.Pop(&s.heap)
		delete(s.queued, top.addr)
	}
	return place{}, false
}

func (g *group) search(c *claim) *search {
	sig := signature(c.ports)
	if s := g.searches[sig]; s != nil {
		return s
	}
	if len(g.searches) >= maxSearches {
		g.forget()
	}
	s := &search{queued: make(map[netip.Addr]struct{}, len(g.members)), seen: len(g.joined)}
	for addr, p := range g.members {
		s.queued[addr] = struct{}{}
		s.heap = append(s.heap, p)
	}
	heap.Init(&s.heap)
	g.searches[sig] = s
	for _, p := range c.ports {
		g.byPort[p] = append(g.byPort[p], s)
	}
	return s
}

// forget ends all searches; new ones begin with all members.
func (g *group) forget() {
	g.searches, g.byPort, g.joined = map[string]*search{}, map[port][]*search{}, nil
}

func (g *group) join(p place) {
	g.members[p.addr] = p
	if len(g.joined) > 2*len(g.members)+64 {
		g.forget()
	}
	if len(g.searches) > 0 {
		g.joined = append(g.joined, p)
	}
}

// reopen has the searches for one of the ports look at a place again.
func (g *group) reopen(p place, ports []port) {
	for _, port := range ports {
		for _, s := range g.byPort[port] {
			s.push(p)
		}
	}
}
