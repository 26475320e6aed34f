package lan

import (
	"fmt"
	"slices"
	"time"

	"github.com/pharoslb/pharos/layer2"
)

// port is what is open on a usable link. Fields are changed by Run alone, under
// Server.mu.
type port struct {
	nic
	sockets [2]*socket // by family; nil: not open
	groups  groups     // owned by Run
}

// half is one family's use of a link.
type half struct {
	link   int
	family family
}

// fault is why one cannot be used, and since when.
type fault struct {
	err string
	at  time.Time
}

// due is when it is tried again, by whether it is needed. A link that failed stays so
// when nothing is announced on it any more: it would be elected again, and fail again.
func (f fault) due(needed bool) time.Time {
	if needed {
		return f.at.Add(retryPause)
	}
	return f.at.Add(idlePause)
}

// broken says that a socket failed.
type broken struct {
	half
	socket *socket
	err    error
}

// serve opens sockets on the links that can be used, for the families that are needed,
// and closes those on others. It returns all links, and which of them lost their carrier
// since the last call though they have it now.
func (s *Server) serve(now time.Time, needed [2]bool) (links []layer2.LinkStatus, restarted []int) {
	present := make(map[int]bool, len(s.nics))
	for _, n := range s.nics {
		present[n.Index] = true
		p := s.port(n)
		for f := range needed {
			h := half{n.Index, family(f)}
			state := n.state(h.family)
			if *state != layer2.Usable {
				delete(s.faults, h)
				s.shut(p, h.family)
				continue
			}
			old, failed := s.faults[h]
			if p.sockets[f] == nil && (needed[f] || failed) && !now.Before(old.due(needed[f])) {
				s.open(now, p, h) // if it is not needed, for a moment
			}
			if f, bad := s.faults[h]; bad {
				*state, n.Err = layer2.Failed, f.err
			}
		}
		if n.IPv4 == layer2.Usable || n.IPv6 == layer2.Usable {
			if before, ok := s.lastUp[n.Index]; ok && before != n.downs {
				restarted = append(restarted, n.Index)
			}
			s.lastUp[n.Index] = n.downs
		} else {
			delete(s.lastUp, n.Index)
		}
		links = append(links, n.LinkStatus)
	}
	for index, p := range s.ports {
		if present[index] {
			continue
		}
		for f := range p.sockets {
			s.shut(p, family(f))
			delete(s.faults, half{index, family(f)})
		}
		delete(s.lastUp, index)
		s.mu.Lock()
		delete(s.ports, index)
		s.mu.Unlock()
	}
	return links, restarted
}

// port is the one of a link, with what is known of the link now.
func (s *Server) port(n nic) *port {
	p := s.ports[n.Index]
	s.mu.Lock()
	defer s.mu.Unlock()
	if p == nil {
		p = &port{}
		s.ports[n.Index] = p
	}
	p.nic = n
	return p
}

// trim closes the sockets that are no longer needed: after the responder was told, so
// that groups are left one by one before.
func (s *Server) trim(needed [2]bool) {
	for _, p := range s.ports {
		for f := range needed {
			if !needed[f] {
				s.shut(p, family(f))
			}
		}
	}
}

// open gets a link's socket for a family.
func (s *Server) open(now time.Time, p *port, h half) {
	var sock *socket
	err := s.opt.Do(func() (err error) {
		sock, err = open(h.link, h.family)
		return err
	})
	if err != nil {
		s.fail(now, p.Name, h, fmt.Errorf("open packet socket: %w", err))
		return
	}
	delete(s.faults, h)
	s.mu.Lock()
	p.sockets[h.family] = sock
	s.mu.Unlock()
	s.readers.Go(func() { s.read(p, h, sock) })
}

// shut closes a link's socket for a family, if it is open, and leaves all groups that go
// with it.
func (s *Server) shut(p *port, f family) {
	sock := p.sockets[f]
	if sock == nil {
		return
	}
	s.mu.Lock()
	p.sockets[f] = nil
	s.mu.Unlock()
	sock.close()
	if f == ipv6 {
		p.groups.close()
	}
}

// fail has a half of a link tried again later, and logs why, once.
func (s *Server) fail(now time.Time, name string, h half, err error) {
	text := err.Error()
	if s.faults[h].err != text {
		s.opt.Log.Warn("link cannot be used", "interface", name, "family", h.family, "err", err)
	}
	s.faults[h] = fault{text, now}
}

// breaks takes in that a socket failed.
func (s *Server) breaks(b broken) {
	p := s.ports[b.link]
	if p == nil || p.sockets[b.family] != b.socket {
		return // closed by now
	}
	s.shut(p, b.family)
	s.fail(time.Now(), p.Name, b.half, b.err)
}

// sameLink says if nothing changed about a link.
func sameLink(a, b layer2.LinkStatus) bool {
	return a.Name == b.Name && a.Index == b.Index && a.MAC == b.MAC && a.IPv4 == b.IPv4 && a.IPv6 == b.IPv6 && a.Err == b.Err &&
		slices.Equal(a.Prefixes, b.Prefixes)
}
