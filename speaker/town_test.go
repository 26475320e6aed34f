package speaker

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// town is a cluster of speakers on one link, with time that passes when nothing else
// does: it is to be run within synctest.
type town struct {
	mu      sync.Mutex
	homes   map[string]*home
	world   pharos.Snapshot
	watched []netip.Addr
	silent  map[netip.Addr]bool // of those watched, that nobody answered for, be it for a moment
}

// home is one node.
type home struct {
	town    *town
	name    string
	speaker *Speaker
	feed    *feed
	notes   *notebook
	cancel  context.CancelFunc
	done    chan struct{}

	// What its membership knows. All but peers is of the node itself.
	peers  []string // that it hears
	facts  Facts
	reason why.Reason
	fresh  bool // it has not asked everybody yet
	left   []string
	claims election.Claims
	heard  []netip.Addr
	news   chan struct{}

	// What its announcer does.
	links    []layer2.LinkStatus
	most     int // links that the others can be told of; 0: all
	answers  map[netip.Addr][]string
	replaced chan struct{}
}

func newTown(t *testing.T, n int, opt Options) *town {
	t.Helper()
	w := &town{homes: map[string]*home{}, silent: map[netip.Addr]bool{}}
	var nodes []*pharos.Node
	for i := range n {
		nodes = append(nodes, node(i+1))
	}
	w.world = pharos.Snapshot{Synced: true, Nodes: cluster(nodes...), Config: &pharos.Config{
		Pools:          []pharos.Pool{pool("lan", "192.0.2.0/24", "2001:db8::/64")},
		Advertisements: []pharos.Advertisement{{Name: "lan", Mode: pharos.Layer2, Pools: []string{"lan"}}},
	}}
	for i, node := range nodes {
		h := &home{
			town: w, name: node.Name, facts: Facts{Partial: true}, feed: newFeed(), notes: &notebook{}, done: make(chan struct{}),
			news: make(chan struct{}, 1), replaced: make(chan struct{}, 1), answers: map[netip.Addr][]string{},
			links: []layer2.LinkStatus{{Name: "eth0", MAC: layer2.MAC{2, 0, 0, 0, 0, byte(i + 1)}}, {Name: "lo", IPv4: layer2.NotEthernet, IPv6: layer2.NotEthernet}},
		}
		opt.Node = node.Name
		var err error
		h.speaker, err = New(opt, Edge{Source: h.feed, Recorder: h.notes, Sessions: &engine{}, Membership: (*membershipOf)(h), Layer2: (*announcerOf)(h)})
		if err != nil {
			t.Fatal(err)
		}
		w.homes[node.Name] = h
	}
	return w
}

// start runs speakers, all if none is named, and has them hear each other.
func (w *town) start(names ...string) {
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(w.homes))
	}
	w.tell()
	w.hear(strings.Join(names, " "))
	for _, name := range names {
		w.run(name)
	}
	synctest.Wait()
	pass(moveTime)
}

// run runs a speaker with whatever it was told.
func (w *town) run(name string) {
	h := w.homes[name]
	var ctx context.Context
	ctx, h.cancel = context.WithCancel(context.Background())
	h.done = make(chan struct{})
	go func() { defer close(h.done); h.speaker.Run(ctx) }()
}

func (w *town) end() {
	for _, h := range w.homes {
		if h.cancel != nil {
			h.cancel()
			<-h.done
		}
	}
}

// tell hands every speaker the world as it is, or those that are named.
func (w *town) tell(names ...string) {
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(w.homes))
	}
	w.world.Revision++
	for _, name := range names {
		snap := w.world
		w.homes[name].feed.set(&snap)
	}
	synctest.Wait()
}

func (w *town) put(svc *pharos.Service, eps *pharos.Endpoints) {
	w.world.Services = w.world.Services.With(svc.Name, svc)
	w.world.Endpoints = w.world.Endpoints.With(svc.Name, eps)
}

// hear says who hears whom from now on: those of one group each other, and what they
// know of who holds what. Who is in no group hears nobody.
func (w *town) hear(groups ...string) {
	w.mu.Lock()
	for _, h := range w.homes {
		h.peers = []string{h.name}
	}
	for _, g := range groups {
		for _, name := range strings.Fields(g) {
			w.homes[name].peers = strings.Fields(g)
		}
	}
	for _, h := range w.homes {
		for _, claim := range h.claims.All() {
			w.spreadClaim(h, claim)
		}
	}
	w.mu.Unlock()
	w.wake()
}

func (w *town) spreadClaim(from *home, claim election.Claim) {
	for _, name := range from.peers {
		if to := w.homes[name]; to != from && to.claims.Merge(claim) {
			to.heard = append(to.heard, claim.Addr)
			token(to.news)
		}
	}
}

func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (w *town) wake() {
	for _, h := range w.homes {
		token(h.news)
	}
	synctest.Wait()
}

// die cuts a node's power: nobody hears it, and it answers for nothing.
func (w *town) die(name string) {
	w.homes[name].cancel() // it may say goodbye as much as it likes
	w.mu.Lock()
	w.homes[name].answers = map[netip.Addr][]string{}
	w.mu.Unlock()
	w.hear(w.others(name))
}

func (w *town) others(name string) string {
	var rest []string
	for other := range w.homes {
		if other != name {
			rest = append(rest, other)
		}
	}
	return strings.Join(rest, " ")
}

// answered returns who answers for an address.
func (w *town) answered(a string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.who(addr(a))
}

func (w *town) who(a netip.Addr) string {
	var list []string
	for name, h := range w.homes {
		if _, ok := h.answers[a]; ok {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

func (w *town) watch(list ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range list {
		w.watched = append(w.watched, addr(a))
	}
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// membershipOf is a home's Membership.
type membershipOf home

func (m *membershipOf) Set(netip.Addr, []netip.Addr) {}
func (m *membershipOf) Changed() <-chan struct{}     { return m.news }

func (m *membershipOf) Tell(f Facts) Facts {
	m.town.mu.Lock()
	defer m.town.mu.Unlock()
	if m.most > 0 && len(f.Links) > m.most {
		f.Links, f.Partial = f.Links[:m.most], true
	}
	if m.facts.Leaving == f.Leaving && m.facts.Ready == f.Ready && m.facts.Acting == f.Acting && m.facts.Policy == f.Policy && slices.Equal(m.facts.Links, f.Links) {
		return f
	}
	m.facts = f
	for _, name := range m.peers {
		token(m.town.homes[name].news)
	}
	return f
}

func (m *membershipOf) Hold(addrs []netip.Addr) {
	m.town.mu.Lock()
	defer m.town.mu.Unlock()
	for _, a := range addrs {
		if claim, ok := m.claims.Take(a, m.name); ok {
			m.town.spreadClaim((*home)(m), claim)
		}
	}
}

func (m *membershipOf) Holder(a netip.Addr) string {
	m.town.mu.Lock()
	defer m.town.mu.Unlock()
	return m.claims.Holder(a)
}

func (m *membershipOf) Heard() []netip.Addr {
	m.town.mu.Lock()
	defer m.town.mu.Unlock()
	list := m.heard
	m.heard = nil
	return list
}

func (m *membershipOf) Status() MembershipStatus {
	m.town.mu.Lock()
	defer m.town.mu.Unlock()
	st := MembershipStatus{Reason: m.reason, Settled: !m.fresh, Left: m.left}
	for _, name := range slices.Sorted(slices.Values(m.peers)) {
		facts := m.town.homes[name].facts
		st.Members = append(st.Members, Member{Name: name, Facts: &facts})
	}
	return st
}

// announcerOf is a home's layer2.Announcer. Those that answer for an address that is new
// here hear of it.
type announcerOf home

func (a *announcerOf) Set(list []layer2.Announcement) {
	w := a.town
	w.mu.Lock()
	defer w.mu.Unlock()
	was := a.answers
	a.answers = map[netip.Addr][]string{}
	for _, x := range list {
		a.answers[x.Addr] = x.Interfaces
		if _, ok := was[x.Addr]; ok {
			continue
		}
		for _, other := range w.homes {
			if _, ok := other.answers[x.Addr]; ok && other != (*home)(a) {
				other.speaker.Conflict(layer2.Conflict{Addr: x.Addr, MAC: a.links[0].MAC, Interface: "eth0"})
			}
		}
	}
	for _, x := range w.watched {
		if w.who(x) == "" {
			w.silent[x] = true
		}
	}
}

func (a *announcerOf) Links() []layer2.LinkStatus {
	a.town.mu.Lock()
	defer a.town.mu.Unlock()
	return slices.Clone(a.links)
}

func (a *announcerOf) Status() layer2.Status {
	a.town.mu.Lock()
	defer a.town.mu.Unlock()
	st := layer2.Status{Links: slices.Clone(a.links)}
	for _, x := range slices.SortedFunc(maps.Keys(a.answers), netip.Addr.Compare) {
		st.Addresses = append(st.Addresses, layer2.AddressStatus{Addr: x, Interfaces: a.answers[x]})
	}
	return st
}

func (a *announcerOf) Changed() <-chan struct{} { return a.replaced }
