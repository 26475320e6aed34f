package layer2

import (
	"container/heap"
	"net/netip"
	"slices"
	"time"
)

// pauses lie between the rounds, a probe and an announcement each: after a take-over or
// when a link came up there is one at once, and again after 100 ms, 500 ms, 2 s and 5 s. The second makes
// up for a lost frame before anybody notices; the last ones are for switches that let
// frames through only some seconds after a port came up.
var pauses = [...]time.Duration{100 * time.Millisecond, 400 * time.Millisecond, 1500 * time.Millisecond, 3 * time.Second}

const (
	// burst addresses are announced at a time, pace apart: some take-overs are of
	// thousands of addresses, and what is broadcast costs all hosts on the link.
	burst = 100
	pace  = 10 * time.Millisecond
)

// Responder decides, as plain data, for which addresses a host answers on which of its
// links, and when it announces them. It never blocks, sleeps, logs or sends.
//
// An address is announced on a link from when both are there: it is probed for and
// announced at once, and again as pauses say. Nobody waits for what a probe brings, as a
// failover must not wait; somebody who has the address is heard of all the same.
type Responder struct {
	period time.Duration
	links  []LinkStatus
	macs   map[MAC]bool // of all links
	addrs  map[netip.Addr]*address
	due    queue
	paced  time.Time // nothing is announced before
	begun  uint64    // rounds of announcements
	sets   uint64
	quota  quota
	answer []Effect
}

// address is one that is announced, if there is a link for it.
type address struct {
	Counters
	Addr       netip.Addr
	interfaces []string // that it may be announced on; none is all
	wanted     []string // the same, while set is at work
	mentioned  uint64   // in which of all Sets it was last
	fresh      bool     // not settled yet

	reach    Reach
	on       []*presence // in the order of links
	claims   []claim
	defended time.Time
}

// presence is an address on a link.
type presence struct {
	*address
	link  int
	name  string
	mac   MAC
	begun uint64    // which of all that began it was
	round int       // of announcements, the next one
	next  time.Time // when that is
	pos   int       // in the queue; -1: nothing is to come
}

// NewResponder announces nothing yet. Addresses are announced every period, beyond what
// take-overs take; 0: they are not.
func NewResponder(period time.Duration) *Responder {
	return &Responder{period: period, addrs: make(map[netip.Addr]*address), answer: []Effect{Answer{}}}
}

// Deadline is when Step must be called with Tick at the latest; zero: never.
func (r *Responder) Deadline() time.Time {
	if len(r.due) == 0 {
		return time.Time{}
	}
	if d := r.due[0].next; d.After(r.paced) {
		return d
	}
	return r.paced
}

// Step takes in what happened and says what is to be done, in that order. What it
// returns is good until the next call.
func (r *Responder) Step(now time.Time, e Event) []Effect {
	switch e := e.(type) {
	case Asked:
		if a := r.addrs[e.Addr]; a != nil && a.find(e.Link) != nil {
			a.Requests++
			return r.answer
		}
	case Claimed:
		return r.claimed(now, e)
	case Sent:
		if a := r.addrs[e.Addr]; a != nil {
			a.Responses += uint64(e.Responses)
			a.Gratuitous += uint64(e.Gratuitous)
		}
	case Defend:
		a := r.addrs[e.Addr]
		if a != nil && a.find(e.Link) != nil && (a.defended.IsZero() || now.Sub(a.defended) >= DefendInterval) {
			a.defended = now
			return []Effect{Announce{e.Link, e.Addr}}
		}
	case Set:
		return r.announce(now, r.set(now, e))
	case Links:
		return r.announce(now, r.relink(now, e))
	case Tick:
		return r.announce(now, nil)
	}
	return nil
}

// set takes in what is announced from now on.
func (r *Responder) set(now time.Time, e Set) (out []Effect) {
	r.sets++
	mentioned := make([]*address, 0, len(e.Announcements)) // in their order, each once
	for _, w := range e.Announcements {
		a := r.addrs[w.Addr]
		switch {
		case a != nil && a.mentioned == r.sets:
			a.wanted = either(a.wanted, w.Interfaces)
			continue
		case a == nil && !announceable(w.Addr):
			continue
		case a == nil:
			a = &address{Addr: w.Addr, fresh: true}
			r.addrs[w.Addr] = a
		}
		a.mentioned, a.wanted = r.sets, w.Interfaces
		mentioned = append(mentioned, a)
	}
	if len(mentioned) < len(r.addrs) {
		for _, a := range r.sorted(func(a *address) bool { return a.mentioned != r.sets }) {
			out = r.place(now, a, nil, out)
			delete(r.addrs, a.Addr)
		}
	}
	for _, a := range mentioned {
		if a.fresh || !slices.Equal(a.interfaces, a.wanted) {
			a.fresh, a.interfaces = false, slices.Clone(a.wanted)
			out = r.settle(now, a, out)
		}
		a.wanted = nil
	}
	return out
}

// announceable says if an address can be announced at all.
func announceable(a netip.Addr) bool {
	return a.IsValid() && !a.Is4In6() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// either allows the interfaces that one of two mentions allows; none is all.
func either(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return slices.Concat(a, b)
}

// relink takes in what links there are from now on.
func (r *Responder) relink(now time.Time, e Links) (out []Effect) {
	r.links = slices.Clone(e.Links)
	r.macs = make(map[MAC]bool, len(r.links))
	for _, l := range r.links {
		r.macs[l.MAC] = true
	}
	for _, a := range r.sorted(all) {
		out = r.settle(now, a, out)
		for _, p := range a.on {
			if p.round > 0 && slices.Contains(e.Restarted, p.link) {
				r.begin(now, p)
			}
		}
	}
	return out
}

// settle puts an address on the links that it belongs on.
func (r *Responder) settle(now time.Time, a *address, out []Effect) []Effect {
	links, reach := LinksFor(r.links, Announcement{a.Addr, a.interfaces})
	a.reach = reach
	return r.place(now, a, links, out)
}

// place puts an address on these links and on no others.
func (r *Responder) place(now time.Time, a *address, links []*LinkStatus, out []Effect) []Effect {
	before := a.on
	a.on = nil
	for _, l := range links {
		i := slices.IndexFunc(before, func(p *presence) bool { return p.link == l.Index })
		var p *presence
		if i >= 0 {
			p = before[i]
			before = slices.Delete(before, i, i+1)
		} else {
			p = &presence{address: a, link: l.Index, pos: -1}
			out = append(out, Start{l.Index, a.Addr})
		}
		p.name = l.Name
		if i < 0 || p.mac != l.MAC {
			p.mac = l.MAC
			r.begin(now, p)
		}
		a.on = append(a.on, p)
	}
	for _, p := range before {
		if p.pos >= 0 {
			heap.Remove(&r.due, p.pos)
		}
		out = append(out, Stop{p.link, a.Addr})
	}
	return out
}

// begin has an address announced on a link from the first round on.
func (r *Responder) begin(now time.Time, p *presence) {
	r.begun++
	p.begun, p.round, p.next = r.begun, 0, now
	if p.pos < 0 {
		heap.Push(&r.due, p)
	} else {
		heap.Fix(&r.due, p.pos)
	}
}

// announce does the rounds that are due, as far as the pace allows.
func (r *Responder) announce(now time.Time, out []Effect) []Effect {
	if now.Before(r.paced) {
		return out
	}
	for n := 0; len(r.due) > 0 && !r.due[0].next.After(now); n++ {
		if n == burst {
			r.paced = now.Add(pace)
			break
		}
		p := r.due[0]
		out = append(out, Probe{p.link, p.Addr}, Announce{p.link, p.Addr})
		switch {
		case p.round < len(pauses):
			p.next = now.Add(pauses[p.round])
		case r.period > 0:
			p.next = now.Add(r.period)
		default:
			heap.Remove(&r.due, 0)
		}
		p.round = min(p.round+1, len(pauses))
		if p.pos >= 0 {
			heap.Fix(&r.due, p.pos)
		}
	}
	return out
}

// sorted are the addresses that keep says, in their order, so that equal input has
// equal effects.
func (r *Responder) sorted(keep func(*address) bool) (out []*address) {
	for _, a := range r.addrs {
		if keep(a) {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *address) int { return a.Addr.Compare(b.Addr) })
	return out
}

func all(*address) bool { return true }

// find is the address on a link, or nil.
func (a *address) find(link int) *presence {
	for _, p := range a.on {
		if p.link == link {
			return p
		}
	}
	return nil
}

// Status is what the Responder does.
func (r *Responder) Status() Status {
	s := Status{Links: slices.Clone(r.links), Addresses: make([]AddressStatus, 0, len(r.addrs))}
	for _, a := range r.sorted(all) {
		as := AddressStatus{Addr: a.Addr, Reach: a.reach, Counters: a.Counters}
		for _, p := range a.on {
			as.Interfaces = append(as.Interfaces, p.name)
		}
		slices.Sort(as.Interfaces)
		for _, c := range a.claims {
			as.Conflicts = append(as.Conflicts, c.Conflict)
		}
		slices.SortFunc(as.Conflicts, func(a, b Conflict) int { return a.Time.Compare(b.Time) })
		s.Addresses = append(s.Addresses, as)
	}
	return s
}
