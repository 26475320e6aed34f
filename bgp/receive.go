package bgp

import (
	"time"

	"github.com/pharoslb/pharos/bgp/wire"
)

// logEvery is how often the log hears of a peer's malformed UPDATEs, and of its other
// failures, at most.
const logEvery = time.Second

// receive takes what a connection read. The machine may close it at any message.
func (p *peer) receive(b batch) {
	c := b.conn
	defer func() { p.current = nil }() // or an idle session would hold on to the whole batch
	for i := range b.messages {
		if p.conns[c.id] != c {
			return
		}
		p.current = &b.messages[i]
		p.step(p.current.event(c.id))
	}
	if b.over && p.conns[c.id] == c {
		if b.stalled {
			p.step(SendStalled{c.id})
		} else {
			p.step(Closed{c.id, b.err})
		}
	}
}

func (m *message) event(id ConnID) Event {
	switch {
	case m.bad != nil:
		return Malformed{id, m.bad}
	case m.open != nil:
		return OpenReceived{id, m.open}
	case m.notif != nil:
		return NotificationReceived{id, m.notif}
	case m.typ == wire.TypeUpdate:
		return UpdateReceived{id}
	case m.typ == wire.TypeRouteRefresh:
		return RefreshReceived{id}
	default:
		return KeepaliveReceived{id}
	}
}

// deliver hands the current message to the handler.
func (p *peer) deliver() {
	m := p.current
	if m.refresh != nil {
		p.refresh(m.refresh)
		return
	}
	u := m.update
	if f := u.EndOfRIB; f != (wire.Family{}) {
		if _, ok := p.ends[f]; !ok {
			p.ends[f] = time.Now()
		}
		Recycle(u)
		p.opt.Handler.EndOfRIB(p.name, f)
		return
	}
	if m.report.Outcome != wire.Accept {
		p.malformed(&m.report)
	}
	p.refuseOwnNextHop(u)
	p.in.announced += uint64(len(u.NLRI))
	p.in.withdrawn += uint64(len(u.Withdrawn))
	if len(u.NLRI)+len(u.Withdrawn) > 0 {
		p.opt.Handler.Update(p.name, u)
	}
}

// askRefresh asks the peer for its routes of a family once more.
func (p *peer) askRefresh(f wire.Family) {
	i := p.m.Info()
	c := p.conns[i.Conn]
	if i.State == Established && c != nil && i.ReceivedOpen.Has(wire.CapRouteRefresh) && i.Session.Has(f) {
		c.sendRefresh(f)
	}
}

// refresh answers a request for our routes (RFC 2918 §4), and hands on where the
// peer's answer to ours begins and ends. Other subtypes, and those that were not
// agreed on, are ignored (RFC 7313 §5); so is an answer that begins before the
// End-of-RIB of a peer with graceful restart (§4), and an end without a beginning.
func (p *peer) refresh(r *wire.RouteRefresh) {
	s := p.m.Info().Session
	switch {
	case !s.Has(r.Family):
	case r.Subtype == wire.RefreshRequest:
		p.routes.resend(r.Family)
		p.opt.Handler.Refresh(p.name, r.Family)
	case r.Subtype == wire.RefreshBegin && s.EnhancedRefresh && p.tableComplete(r.Family):
		p.refreshing[r.Family] = true
		p.opt.Handler.RefreshBegin(p.name, r.Family)
	case r.Subtype == wire.RefreshEnd && p.refreshing[r.Family]:
		delete(p.refreshing, r.Family)
		p.opt.Handler.RefreshEnd(p.name, r.Family)
	}
}

// tableComplete tells if the peer's End-of-RIB has come, or need not (RFC 4724 §2).
func (p *peer) tableComplete(f wire.Family) bool {
	if _, restarts := p.m.Info().ReceivedOpen.GracefulRestart(); !restarts {
		return true
	}
	return !p.ends[f].IsZero()
}

func (p *peer) malformed(r *wire.Report) {
	p.malf++
	for _, f := range r.Findings {
		if f.Outcome != r.Outcome {
			continue
		}
		// A peer that makes mistakes in turn does not fill the log.
		if now := time.Now(); f != p.lastMalf && now.Sub(p.malfLogged) >= logEvery {
			p.malfLogged = now
			p.log.Warn("bgp update malformed", "finding", f.String(), "clause", f.Reason.Clause())
		}
		p.lastMalf = f
		return
	}
}

// refuseOwnNextHop withdraws routes that lead to ourselves (RFC 4271 §6.3,
// NEXT_HOP a).
func (p *peer) refuseOwnNextHop(u *wire.Update) {
	if len(u.NLRI) == 0 || u.Attrs == nil {
		return
	}
	c := p.conns[p.m.Info().Conn]
	if c == nil {
		return
	}
	own := c.local.Addr().WithZone("")
	if u.Attrs.NextHop != own && u.Attrs.NextHop6 != own {
		return
	}
	kept, paths := 0, len(u.NLRIPaths) > 0 // then parallel to the prefixes, always
	for i, q := range u.NLRI {
		if u.Attrs.NextHopFor(q) == own {
			u.Withdrawn = append(u.Withdrawn, q)
			if paths {
				u.WithdrawnPaths = append(u.WithdrawnPaths, u.NLRIPaths[i])
			}
			continue
		}
		u.NLRI[kept] = q
		if paths {
			u.NLRIPaths[kept] = u.NLRIPaths[i]
		}
		kept++
	}
	u.NLRI = u.NLRI[:kept]
	if paths {
		u.NLRIPaths = u.NLRIPaths[:kept]
	}
}
