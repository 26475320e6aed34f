package radv

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// Times of router discovery (RFC 4861 §10, and our choices where it leaves one).
const (
	// initialAdverts come minDelay apart when a link came up.
	initialAdverts = 3
	// minDelay is MIN_DELAY_BETWEEN_RAS, between advertisements to all.
	minDelay = 3 * time.Second
	// answerPause lies between answers to single nodes.
	answerPause = 500 * time.Millisecond
	// settle is how long a device keeps its address at least: somebody who writes the
	// neighbor's link-layer address into a flood of advertisements, each from another
	// source, must not have sessions made and ended as fast.
	settle = time.Second
	// maxSolicits are sent, solicitPause apart (RTR_SOLICITATION_INTERVAL).
	maxSolicits  = 3
	solicitPause = 4 * time.Second
	// Lifetime is how long a neighbor is known without being heard, unless its own
	// Router Lifetime is longer: as long as the longest pause that a router may
	// make between two advertisements (§6.2.1).
	Lifetime = 1800 * time.Second
)

// event is what happens on a link.
type event interface{ isEvent() }

type (
	// up: the link can be used.
	up struct{}
	// down: it cannot any more.
	down struct{}
	// tick: the deadline has come.
	tick struct{}
	// advertised: a router advertisement arrived.
	advertised struct {
		from     netip.Addr // link-local, without zone
		device   string     // the sender's link-layer address, if it said so
		lifetime time.Duration
	}
	// solicited: a router solicitation arrived.
	solicited struct{ from netip.Addr } // link-local or unspecified
)

func (up) isEvent()         {}
func (down) isEvent()       {}
func (tick) isEvent()       {}
func (advertised) isEvent() {}
func (solicited) isEvent()  {}

// effect is what the machine wants done.
type effect interface{ isEffect() }

type (
	// advertise to a node, or, if to is not valid, to all nodes.
	advertise struct{ to netip.Addr }
	// solicit advertisements from all routers.
	solicit struct{}
	// found says who the neighbor is from now on; not valid: nobody.
	found struct{ addr netip.Addr }
)

func (advertise) isEffect() {}
func (solicit) isEffect()   {}
func (found) isEffect()     {}

// machine is router discovery on one link as plain data. It never blocks, sleeps,
// logs or sends.
type machine struct {
	interval time.Duration // longest pause between advertisements
	rand     *rand.Rand

	up         bool
	initial    int       // advertisements left to be sent minDelay apart
	nextAdvert time.Time // to all
	lastAdvert time.Time // to all
	lastAnswer time.Time
	solicits   int // left
	nextAsk    time.Time

	neighbor netip.Addr
	device   string
	since    time.Time // when it became the neighbor
	heard    time.Time // when the neighbor was last
	until    time.Time // when it is forgotten
}

func newMachine(interval time.Duration, seed uint64) *machine {
	return &machine{interval: interval, rand: rand.New(rand.NewPCG(seed, 0))}
}

// deadline is when step must be called with tick at the latest; zero: never.
func (m *machine) deadline() time.Time {
	if !m.up {
		return time.Time{}
	}
	d := m.nextAdvert
	if m.solicits > 0 && m.nextAsk.Before(d) {
		d = m.nextAsk
	}
	if m.neighbor.IsValid() && m.until.Before(d) {
		d = m.until
	}
	return d
}

// step takes in what happened.
func (m *machine) step(now time.Time, e event) []effect {
	switch e := e.(type) {
	case up:
		return m.begin(now)
	case down:
		return m.end()
	case advertised:
		if m.up {
			return m.advertised(now, e)
		}
	case solicited:
		if m.up {
			return m.solicited(now, e)
		}
	case tick:
		if m.up {
			return m.tick(now)
		}
	}
	return nil
}

// begin advertises at once (§6.2.4) and asks at once: there is one host on this
// end, so the delay against storms (§6.3.7) would serve nobody.
func (m *machine) begin(now time.Time) []effect {
	out := m.end()
	m.up, m.initial = true, initialAdverts
	m.lastAdvert, m.lastAnswer = time.Time{}, time.Time{}
	m.ask(now)
	m.nextAdvert = now
	return append(out, m.tick(now)...)
}

func (m *machine) end() []effect {
	known := m.neighbor.IsValid()
	m.up, m.neighbor, m.device = false, netip.Addr{}, ""
	if known {
		return []effect{found{}}
	}
	return nil
}

func (m *machine) ask(at time.Time) { m.solicits, m.nextAsk = maxSolicits, at }

func (m *machine) tick(now time.Time) (out []effect) {
	if m.neighbor.IsValid() && !now.Before(m.until) {
		m.neighbor, m.device = netip.Addr{}, ""
		out = append(out, found{})
		m.ask(now)
	}
	if m.solicits > 0 && !now.Before(m.nextAsk) {
		m.solicits--
		m.nextAsk = now.Add(solicitPause)
		out = append(out, solicit{})
	}
	if !now.Before(m.nextAdvert) {
		out = append(out, advertise{})
		m.lastAdvert = now
		pause := m.interval - time.Duration(m.rand.Float64()*float64(m.interval)/4)
		if m.initial > 0 {
			m.initial--
		}
		if m.initial > 0 {
			pause = min(pause, minDelay)
		}
		m.nextAdvert = now.Add(pause)
	}
	return out
}

func (m *machine) advertised(now time.Time, e advertised) (out []effect) {
	if e.from != m.neighbor {
		if m.neighbor.IsValid() && !m.replaces(now, e) {
			return nil
		}
		m.neighbor, m.since = e.from, now
		out = append(out, found{e.from})
		// It shall know us as soon as we know it.
		if a, ok := m.answer(now, e.from); ok {
			out = append(out, a)
		}
	}
	m.device, m.heard = e.device, now
	m.until = now.Add(max(e.lifetime, Lifetime))
	m.ask(m.until.Add(-maxSolicits * solicitPause)) // before it is forgotten
	return out
}

// replaces says if a router takes the known neighbor's place: it is the same device
// under a new address, or the neighbor has been silent for some advertisements.
func (m *machine) replaces(now time.Time, e advertised) bool {
	same := e.device != "" && e.device == m.device && now.Sub(m.since) >= settle
	return same || now.Sub(m.heard) >= 3*m.interval
}

// solicited answers (§6.2.6): to the node that asks, if it has an address and
// answers are not too many, else to all.
func (m *machine) solicited(now time.Time, e solicited) []effect {
	if e.from.IsLinkLocalUnicast() {
		if a, ok := m.answer(now, e.from); ok {
			return []effect{a}
		}
	}
	if due := m.lastAdvert.Add(minDelay); due.Before(m.nextAdvert) {
		m.nextAdvert = due
		return m.tick(now)
	}
	return nil
}

func (m *machine) answer(now time.Time, to netip.Addr) (effect, bool) {
	if now.Sub(m.lastAnswer) < answerPause {
		return nil, false
	}
	m.lastAnswer = now
	return advertise{to}, true
}
