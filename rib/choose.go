package rib

import (
	"math"
	"slices"
)

// decision is the one that Table.Decide came to last, and its memory. Prefixes that
// come together mostly have the same ways, so that what was decided for one holds for
// the next.
type decision struct {
	shape     []way // what it was about; empty: nothing that could be had again
	standings []standing
	set       HopSet

	paths      []Path
	verdicts   []Verdict
	refs       []*Path
	hops       []Hop
	bandwidths []float32 // of the hops
	encoded    []byte
}

// way is all of a path that the decision depends on, but for its age.
type way struct {
	source, attrs, hop, id uint32
	state                  state
	leak                   bool
}

// standing is a Verdict in three octets.
type standing struct {
	used            uint8 // 1: the best, 2: multipath
	why, whyNotUsed Reason
}

func (v Verdict) standing() standing {
	s := standing{why: v.Why, whyNotUsed: v.WhyNotUsed}
	if v.Best {
		s.used |= 1
	}
	if v.Multipath {
		s.used |= 2
	}
	return s
}

func (s standing) verdict() Verdict {
	return Verdict{Best: s.used&1 != 0, Multipath: s.used&2 != 0, Why: s.why, WhyNotUsed: s.whyNotUsed}
}

// Dirty is how many prefixes the next Decide will look at.
func (t *Table) Dirty() int { return len(t.dirty) }

// Decide decides anew about the prefixes whose paths changed and appends to out
// those that have other next hops than before.
func (t *Table) Decide(out []Route) []Route {
	d := &t.decision
	for _, number := range t.dirty {
		e := t.entries.At(number)
		e.dirty = false
		if t.alike(e) {
			i := 0
			for at := e.oldest; at != 0; i++ {
				p := t.paths.At(at)
				p.standing = d.standings[i]
				at = p.next
			}
		} else {
			t.decide(e)
		}
		t.version++
		e.version = t.version
		if e.set != d.set {
			e.set = d.set
			out = append(out, Route{t.entries.Prefix(number), e.set})
		}
		if e.oldest == 0 {
			t.entries.Delete(number)
		}
	}
	t.dirty = t.dirty[:0]
	return out
}

// alike says that the last decision holds for the entry as well: its paths are the
// same ways, by the same order of age.
func (t *Table) alike(e *entry) bool {
	shape := t.decision.shape
	i := 0
	for at := e.oldest; at != 0; i++ {
		p := t.paths.At(at)
		if i == len(shape) || shape[i] != p.way {
			return false
		}
		at = p.next
	}
	return i > 0 && i == len(shape)
}

// decide gives the entry's paths their verdicts and leaves the set of next hops in
// t.decision.
func (t *Table) decide(e *entry) {
	d := &t.decision
	d.shape, d.paths, d.refs, d.hops = d.shape[:0], d.paths[:0], d.refs[:0], d.hops[:0]
	d.standings, d.bandwidths = d.standings[:0], d.bandwidths[:0]
	for at := e.oldest; at != 0; {
		p := t.paths.At(at)
		d.shape = append(d.shape, p.way)
		d.paths = append(d.paths, t.expand(p))
		at = p.next
	}
	for i := range d.paths {
		d.refs = append(d.refs, &d.paths[i])
	}
	d.verdicts = Decide(t.policy, d.refs, d.verdicts[:0])
	i := 0
	for at := e.oldest; at != 0; i++ {
		p := t.paths.At(at)
		v := d.verdicts[i]
		p.standing = v.standing()
		d.standings = append(d.standings, p.standing)
		if v.Used() {
			d.hops = append(d.hops, t.hops.At(p.hop).hop())
			d.bandwidths = append(d.bandwidths, d.paths[i].Attrs.Bandwidth)
		}
		at = p.next
	}
	if t.policy.LinkBandwidth {
		weigh(d.hops, d.bandwidths)
	}
	slices.SortFunc(d.hops, Hop.compare)
	if d.encoded = appendHops(d.encoded[:0], d.hops); !d.set.is(d.encoded) {
		d.set = hopSetOf(d.encoded)
	}
}

// forget has the next entry decided for itself: what the last decision depended on
// has changed, or its numbers may mean something else.
func (d *decision) forget() { d.shape = d.shape[:0] }

// expand makes a Path of what is kept of it.
func (t *Table) expand(p *path) Path {
	h := t.hops.At(p.hop)
	out := Path{
		Source: (*t.sources.At(p.source)).info, Attrs: *t.attrs.At(p.attrs), ID: p.id, NextHop: h.name,
		Fault: h.fault, Stale: p.state == stale || p.state == longLived, LongLived: p.state == longLived,
		Order: p.order, Since: t.epoch.Add(p.since),
	}
	switch {
	case p.state == deleted:
		out.Fault = Deleted
	case p.leak:
		out.Fault = RouteLeak
	}
	return out
}

// weigh gives the hops of a set weights in proportion to their paths' bandwidths, if
// all of them have one: the widest maxWeight, all divided by what they share.
func weigh(hops []Hop, bandwidths []float32) {
	if len(hops) < 2 || slices.Min(bandwidths) <= 0 {
		return
	}
	widest := float64(slices.Max(bandwidths))
	shared := 0
	for i, b := range bandwidths {
		hops[i].Weight = max(1, int(math.Round(float64(b)/widest*maxWeight)))
		shared = gcd(shared, hops[i].Weight)
	}
	for i := range hops {
		hops[i].Weight /= shared
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
