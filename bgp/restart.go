package bgp

import (
	"cmp"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// GracefulRestart is what we offer of graceful restart. To offer it is to help: the
// routes of a peer that restarts are retained as it asks (Down.Retain).
type GracefulRestart struct {
	// Restart is how long the peer shall keep our routes when we go away without
	// saying goodbye, as the Server does when Run ends: whole seconds up to 4095 s
	// (RFC 4724 §3). 0: we help, and ask for nothing.
	Restart time.Duration
	// LongLived is for how long more the peer shall keep them, as routes of last
	// resort: whole seconds up to 2^24-1 (RFC 9494 §3). 0: it shall not.
	LongLived time.Duration
	// MaxRestart and MaxLongLived bound what a peer may ask of us. 0: 4095 s, and
	// a day.
	MaxRestart, MaxLongLived time.Duration
	// ForwardingLost says that we did not only come back: what forwards began anew
	// as well, such as after a reboot. A peer that kept our routes drops them when the
	// first session is there. What ends later does not count.
	ForwardingLost bool
}

func (g *GracefulRestart) validate(bad func(format string, args ...any)) {
	for _, d := range []struct {
		name  string
		value time.Duration
		most  time.Duration
	}{
		{"graceful restart time", g.Restart, wire.MaxRestartTime},
		{"long-lived stale time", g.LongLived, wire.MaxStaleTime},
		{"longest graceful restart time", g.MaxRestart, wire.MaxRestartTime},
		{"longest long-lived stale time", g.MaxLongLived, wire.MaxStaleTime},
	} {
		if d.value < 0 || d.value > d.most || d.value%time.Second != 0 {
			bad("%s %v is not whole seconds of 0 to %v", d.name, d.value, d.most)
		}
	}
}

// capabilities are those that offer it. Our forwarding does not depend on the
// session, so that it is preserved but for the one restart of which we are told.
func (g *GracefulRestart) capabilities(families []wire.Family, restarting bool) []wire.Capability {
	kept := !restarting || !g.ForwardingLost
	gr := wire.GracefulRestart{Restarting: restarting, Notification: true, Time: g.Restart}
	var ll []wire.LongLivedFamily
	for _, f := range families {
		if g.Restart > 0 || g.LongLived > 0 {
			gr.Families = append(gr.Families, wire.GracefulFamily{Family: f, Forwarding: kept})
		}
		ll = append(ll, wire.LongLivedFamily{Family: f, Forwarding: kept, StaleTime: g.LongLived})
	}
	return []wire.Capability{wire.GracefulRestartCapability(gr), wire.LongLived(ll...)}
}

// graceful tells if a session's end without a goodbye makes the peer keep our
// routes.
func (m *Machine) graceful(l *link) bool {
	g := m.cfg.GracefulRestart
	if g == nil || l.state != Established || g.Restart == 0 && g.LongLived == 0 {
		return false
	}
	_, ok := l.open.GracefulRestart()
	return ok
}

// crossing is how long after a session was Established the peer's next connection may
// still be one that it began before.
const crossing = 5 * time.Second

// restarts tells if a new connection of the peer, beside an Established one, means that
// it has restarted (RFC 4724 §5). One that crossed the Established one on its way is a
// collision: if each side took it for a restart of the other, both could be lost.
func (m *Machine) restarts(now time.Time, l *link) bool {
	if m.cfg.GracefulRestart == nil || now.Sub(l.since) < crossing {
		return false
	}
	_, ok := l.open.GracefulRestart()
	return ok
}

// hard wraps a NOTIFICATION whose session the peer is not to restart gracefully,
// where both sides take NOTIFICATIONs for failures (RFC 8538 §3).
func (m *Machine) hard(l *link, n *wire.Notification) *wire.Notification {
	if n == nil || l.state < OpenConfirm || !m.notificationsAreFailures(l) {
		return n // below OpenConfirm the peer is not Established either
	}
	return wire.HardReset(n)
}

func (m *Machine) notificationsAreFailures(l *link) bool {
	if m.cfg.GracefulRestart == nil {
		return false
	}
	theirs, ok := l.open.GracefulRestart()
	return ok && theirs.Notification
}

// retain says which of the peer's routes are to be kept when an Established session
// ends so.
func (m *Machine) retain(l *link, d Down) []Retention {
	g := m.cfg.GracefulRestart
	if g == nil {
		return nil
	}
	theirs, ok := l.open.GracefulRestart()
	if !ok || !m.keepsRoutes(l, d) {
		return nil
	}
	longLived := l.open.LongLived()
	var out []Retention
	for _, f := range l.session.Families {
		r := Retention{Family: f}
		if slices.ContainsFunc(theirs.Families, func(t wire.GracefulFamily) bool { return t.Family == f }) {
			r.Restart = min(theirs.Time, cmp.Or(g.MaxRestart, wire.MaxRestartTime))
		}
		for _, t := range longLived {
			if t.Family == f {
				r.LongLived = min(t.StaleTime, cmp.Or(g.MaxLongLived, 24*time.Hour))
			}
		}
		if r.Restart > 0 || r.LongLived > 0 {
			out = append(out, r)
		}
	}
	return out
}

// keepsRoutes tells if a session that ends so may be one that restarts.
func (m *Machine) keepsRoutes(l *link, d Down) bool {
	switch d.Cause {
	case CauseConnectionLost, CauseReplaced, CauseCollision: // RFC 4724 §4.2
		return true
	case CauseHoldTimer, CauseSendHoldTimer, CauseProtocolError, CauseReset, CauseConfigChange: // RFC 8538 §4
		return m.notificationsAreFailures(l)
	case CausePeerNotification:
		_, isHard := d.Notification.HardReset()
		return !isHard && m.notificationsAreFailures(l)
	}
	// The neighbor is not wanted any more, or the path to it is known to be dead:
	// BFD goes before graceful restart.
	return false
}

// preserved are the families whose routes the peer forwarded by while it was away. What
// it says of long-lived graceful restart counts for families that it restarts in no
// other way (RFC 9494 §4.2).
func preserved(o *wire.Open) []wire.Family {
	g, _ := o.GracefulRestart()
	var out, told []wire.Family
	for _, f := range g.Families {
		told = append(told, f.Family)
		if f.Forwarding {
			out = append(out, f.Family)
		}
	}
	for _, f := range o.LongLived() {
		if f.Forwarding && !slices.Contains(told, f.Family) {
			out = append(out, f.Family)
		}
	}
	return out
}
