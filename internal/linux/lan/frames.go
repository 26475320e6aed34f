package lan

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pharoslb/pharos/arp"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/ndp"
)

// read takes in what arrives on a socket until it is closed or fails.
func (s *Server) read(p *port, h half, sock *socket) {
	in, out := make([]byte, maxFrame), make([]byte, 0, max(arp.Len, ndp.Len))
	take := s.takeARP
	if h.family == ipv6 {
		take = s.takeNDP
	}
	for {
		n, err := sock.read(in)
		switch {
		case err == nil:
			take(p, h, sock, in[:n], out)
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, unix.ENETDOWN):
			// Said once when the link goes down; the socket works again when it is up.
		default:
			b := broken{h, sock, fmt.Errorf("receive: %w", err)}
			select {
			case s.broken <- b:
			case <-sock.closed:
			}
			return
		}
	}
}

func (s *Server) takeARP(p *port, h half, sock *socket, frame, out []byte) {
	packet, err := arp.Parse(frame)
	if err != nil {
		return
	}
	s.mu.Lock()
	mac := p.MAC
	if p.sockets[h.family] != sock || !packet.For(mac) {
		s.mu.Unlock()
		return
	}
	asked, isAsked := packet.Asks()
	claimed, isClaimed := packet.Claims()
	if packet.Probes() {
		claimed, isClaimed = asked, isAsked
	}
	answer := isAsked && s.asked(h, asked)
	if isClaimed {
		s.claimed(layer2.Claimed{Link: h.link, Addr: claimed, MAC: packet.SenderMAC, Probe: packet.Probes()})
	}
	s.mu.Unlock()
	if answer {
		s.answer(sock, asked, packet.Answer(mac).Append(out))
	}
}

func (s *Server) takeNDP(p *port, h half, sock *socket, frame, out []byte) {
	m, err := ndp.Parse(frame)
	if err != nil {
		return
	}
	s.mu.Lock()
	mac, src := p.MAC, p.linkLocal
	if p.sockets[h.family] != sock || !m.For(mac) {
		s.mu.Unlock()
		return
	}
	asked, isAsked := m.Asks()
	claimed, by, isClaimed := m.Claims()
	if m.Probes() {
		claimed, by, isClaimed = asked, m.SrcMAC, true
	}
	answer := isAsked && s.asked(h, asked)
	if isClaimed {
		s.claimed(layer2.Claimed{Link: h.link, Addr: claimed, MAC: by, Probe: m.Probes()})
	}
	s.mu.Unlock()
	if answer {
		s.answer(sock, asked, m.Answer(mac, src).Append(out))
	}
}

// asked says if a question is to be answered. The mutex is held.
func (s *Server) asked(h half, addr netip.Addr) bool {
	return len(s.responder.Step(time.Time{}, layer2.Asked{Link: h.link, Addr: addr})) > 0
}

// claimed hands a conflict to Run. The mutex is held.
func (s *Server) claimed(e layer2.Claimed) {
	for _, effect := range s.responder.Step(time.Now(), e) {
		select {
		case s.reports <- report{effect.(layer2.Report).Conflict, e.Link}:
		default:
		}
	}
}

func (s *Server) answer(sock *socket, addr netip.Addr, frame []byte) {
	if sock.write(frame) == nil {
		s.sent(addr, 1, 0)
	}
}

func (s *Server) sent(addr netip.Addr, responses, gratuitous int) {
	s.mu.Lock()
	s.responder.Step(time.Time{}, layer2.Sent{Addr: addr, Responses: responses, Gratuitous: gratuitous})
	s.mu.Unlock()
}

// perform does what the responder says, on Run's goroutine. What cannot be sent is not
// sent later: the next round is.
func (s *Server) perform(effects []layer2.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case layer2.Announce:
			s.announce(e)
		case layer2.Probe:
			s.probe(e)
		case layer2.Start:
			s.start(e)
		case layer2.Stop:
			if p := s.ports[e.Link]; p != nil && e.Addr.Is6() {
				p.groups.remove(e.Addr)
			}
		}
	}
}

// outlet is where frames for an address go out on a link; nil: nowhere.
func (s *Server) outlet(link int, addr netip.Addr) (*port, *socket) {
	p := s.ports[link]
	if p == nil || p.sockets[familyOf(addr)] == nil {
		return nil, nil
	}
	return p, p.sockets[familyOf(addr)]
}

func (s *Server) announce(e layer2.Announce) {
	p, sock := s.outlet(e.Link, e.Addr)
	if sock == nil {
		return
	}
	var out [ndp.Len]byte
	sent := 0
	var err error
	if e.Addr.Is4() {
		for _, packet := range arp.Announce(p.MAC, e.Addr) {
			if err = sock.write(packet.Append(out[:0])); err == nil {
				sent++
			}
		}
	} else if err = sock.write(ndp.Announce(p.MAC, p.linkLocal, e.Addr).Append(out[:0])); err == nil {
		sent++
	}
	s.sent(e.Addr, 0, sent)
	s.opt.Log.Debug("address announced", "address", e.Addr, "interface", p.Name, "frames", sent, "err", err)
}

func (s *Server) probe(e layer2.Probe) {
	p, sock := s.outlet(e.Link, e.Addr)
	if sock == nil {
		return
	}
	var out [ndp.Len]byte
	frame := out[:0]
	if e.Addr.Is4() {
		frame = arp.Probe(p.MAC, e.Addr).Append(frame)
	} else {
		frame = ndp.Probe(p.MAC, p.linkLocal, e.Addr).Append(frame)
	}
	if err := sock.write(frame); err != nil {
		s.opt.Log.Debug("address not probed for", "address", e.Addr, "interface", p.Name, "err", err)
	}
}

// start makes the kernel, and switches, let questions for an address through.
func (s *Server) start(e layer2.Start) {
	p, sock := s.outlet(e.Link, e.Addr)
	if sock == nil || e.Addr.Is4() {
		return
	}
	if err := p.groups.add(s.opt.Do, e.Link, e.Addr); err != nil {
		s.shut(p, ipv6)
		s.fail(time.Now(), p.Name, half{e.Link, ipv6}, err)
		s.failed = true
	}
}
