package bfd

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

const (
	// batchLen is how many datagrams are received at once.
	batchLen = 64
	// budget bounds the datagrams that are looked at before sessions that are due.
	budget = 64 * batchLen
	// moderation is how long datagrams may wait after others were looked at: as
	// the kernel says when it received them, nothing is lost, and many are read in one
	// wake-up.
	moderation = time.Millisecond
	// retry is when a session is looked at again that is due by the clock, but for
	// which not enough has been received.
	retry = 100 * time.Microsecond
)

// loop is the life of Run's goroutine.
func (s *Server) loop(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.wait(); err != nil {
			return fmt.Errorf("wait for bfd packets: %w", err)
		}
		s.answer(true)
		heard, err := s.drain()
		if err != nil {
			return fmt.Errorf("receive bfd packets: %w", err)
		}
		s.tell()
		for s.work(heard) {
			s.tell()
		}
	}
	return nil
}

// wait blocks until there is something to do.
func (s *Server) wait() error {
	s.mu.Lock()
	var next time.Time
	if x := s.heap.first(); x != nil {
		next = x.due
	}
	s.mu.Unlock()
	now := time.Now()
	if gate := s.drained.Add(moderation); now.Before(gate) && !due(next, now) {
		// Then everything is looked at, also if it was Wake that ended this.
		return s.opt.Transport.Wait(earliest(gate, next), false)
	}
	if due(next, now) {
		return nil
	}
	return s.opt.Transport.Wait(next, true)
}

// drain receives what there is, within the budget, and tells up to when everything
// has been received.
func (s *Server) drain() (heard time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for total := 0; ; {
		n, until, err := s.opt.Transport.Receive(s.batch)
		if err != nil {
			return heard, err
		}
		heard = until
		if n == 0 {
			return heard, nil
		}
		now := time.Now()
		s.drained = now
		for i := range s.batch[:n] {
			s.receive(&s.batch[i], now)
		}
		if total += n; n < len(s.batch) || total >= budget {
			return heard, nil
		}
	}
}

// receive is RFC 5880 §6.8.6 up to the selection of the session; the machine does
// the rest.
func (s *Server) receive(d *Datagram, now time.Time) {
	if d.Kind == EchoPacket {
		s.receiveEcho(d, now)
		return
	}
	var err error
	if s.packet, err = Decode(d.Data); err != nil {
		if why, ok := err.(Discard); ok {
			s.strangers[why]++
		}
		return
	}
	x, why := s.find(d, &s.packet, now)
	if x == nil {
		s.strangers[why]++
		return
	}
	// RFC 5881 §5; RFC 5883 §5 leaves the limit to the configuration.
	if !x.cfg.Multihop && d.TTL != 255 || x.cfg.Multihop && d.TTL < x.cfg.MinimumTTL {
		x.discarded[DiscardTTL]++
		return
	}
	x.received++
	s.apply(x, now, x.m.Step(now, Received{Packet: &s.packet, Raw: d.Data, At: d.At}))
}

// find selects the session: by our discriminator, else by the addresses.
func (s *Server) find(d *Datagram, p *Packet, now time.Time) (*session, Discard) {
	if p.YourDiscriminator != 0 {
		x := s.all[p.YourDiscriminator]
		if x == nil {
			return nil, DiscardNoSession
		}
		if !x.takes(s.opt.Transport, now, d) {
			return nil, DiscardAddress
		}
		return x, DiscardNone
	}
	for _, x := range s.peers[peerKey{d.Source, d.Kind == Multihop}] { // the most specific first
		if x.takes(s.opt.Transport, now, d) {
			return x, DiscardNone
		}
	}
	return nil, DiscardNoSession
}

func (s *Server) receiveEcho(d *Datagram, now time.Time) {
	e, ok := DecodeEcho(d.Data)
	if !ok {
		s.strangers[DiscardEcho]++
		return
	}
	x := s.all[e.Discriminator]
	if x == nil {
		s.strangers[DiscardEcho]++
		return
	}
	if d.TTL < 254 { // the peer is the only router on the way
		x.discarded[DiscardTTL]++
		return
	}
	x.echoesReceived++
	s.apply(x, now, x.m.Step(now, EchoReceived{Echo: e, At: d.At}))
}

// work lets sessions act that are due. It returns true early when there is a change to
// be told.
func (s *Server) work(heard time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for {
		x := s.heap.first()
		if x == nil || x.due.After(now) {
			return len(s.changes) > 0
		}
		if x.leaving && !now.Before(x.leaveAt) {
			s.forget(x)
			continue
		}
		s.apply(x, now, x.m.Step(now, Tick{Heard: heard}))
		if !x.due.IsZero() && !x.due.After(now) {
			s.heap.set(x, now.Add(retry))
		}
		if len(s.changes) > 0 {
			return true
		}
	}
}

// apply does what a machine wants. The caller holds mu.
func (s *Server) apply(x *session, now time.Time, effects []Effect) {
	t, refused := s.opt.Transport, false
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			s.out = e.Packet.Append(s.out[:0], x.key)
			if x.send(t, now, func(ep Endpoint) error { return ep.Send(s.out) }) || errors.Is(x.sendError, syscall.ECONNREFUSED) {
				x.sent++
			}
		case SendEcho:
			s.out = e.Echo.Append(s.out[:0])
			if x.send(t, now, func(ep Endpoint) error { return ep.SendEcho(s.out) }) {
				x.echoesSent++
			} else {
				refused = errors.Is(x.sendError, ErrNoEcho)
			}
		case Changed:
			e.Name = x.cfg.Name
			s.changes = append(s.changes, e.Change)
		case Discarded:
			x.discarded[e.Discard]++
		}
	}
	if refused {
		x.m.Step(now, EchoRefused{}) // has no effects
	}
	d := x.m.Deadline()
	if x.leaving {
		d = earliest(d, x.leaveAt)
	}
	s.heap.set(x, d)
}

// tell hands changes to the Handler, then to the journal.
func (s *Server) tell() {
	s.mu.Lock()
	changes := s.changes
	s.changes = nil
	s.mu.Unlock()
	if len(changes) == 0 {
		return
	}
	s.answer(false) // the Handler may ask, too
	for _, c := range changes {
		s.opt.Handler.StateChanged(c)
	}
	s.answer(!s.done)
	for _, c := range changes {
		s.journal.add(c)
	}
}
