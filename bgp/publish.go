package bgp

// publish makes what run knows visible to Status.
func (p *peer) publish() {
	i := p.m.Info()
	c := p.conns[i.Conn]
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.status
	*s = SessionStatus{
		Name: p.name, State: i.State, Since: i.Since, RetryAt: i.RetryAt,
		Establishments: i.Establishments, Drops: i.Drops,
		LastResetByUs: i.ResetByUs, LastResetByPeer: i.ResetByPeer, LastError: i.Error,
		Malformed: p.malf, LastMalformed: p.lastMalf,
	}
	p.setStatusConfig(p.cfg)
	if c != nil {
		s.LocalAddr, s.RemoteAddr, s.Incoming = c.local, c.remote, i.Incoming
		s.HoldDue, s.KeepaliveDue = i.HoldDue, i.KeepaliveDue
	}
	if i.SentOpen != nil {
		s.CapabilitiesSent = i.SentOpen.Capabilities
	}
	if o := i.ReceivedOpen; o != nil {
		s.RemoteID, s.RemoteAS, s.CapabilitiesReceived = o.ID, o.PeerAS(), o.Capabilities
		s.Preserved = preserved(o)
	}
	if i.State < OpenConfirm {
		return
	}
	s.HoldTime, s.KeepaliveTime, s.AS4 = i.HoldTime, i.KeepaliveTime, i.Session.AS4
	s.Announced, s.Withdrawn = p.in.announced, p.in.withdrawn
	for _, f := range i.Session.Families {
		s.Families = append(s.Families, FamilyStatus{Family: f, EndOfRIBReceived: p.ends[f]})
	}
}

func (p *peer) setStatusConfig(c Config) {
	p.status.Authenticated = c.Password != "" || len(c.AO) > 0
	p.status.Config = c.withoutSecrets()
}

// Status tells of the neighbor.
func (p *peer) Status() SessionStatus {
	p.mu.Lock()
	s := p.status
	p.mu.Unlock()
	s.Families = append([]FamilyStatus(nil), s.Families...)
	s.LastRead, s.LastWritten = p.tally.received.lastTime(), p.tally.sent.lastTime()
	s.Received, s.Sent = p.tally.received.messages(), p.tally.sent.messages()
	s.OutQueue = int(p.tally.outQueue.Load())
	p.routes.report(&s)
	return s
}
