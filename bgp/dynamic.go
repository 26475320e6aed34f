package bgp

import (
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"time"
)

// Defaults of dynamic neighbors.
const (
	// DefaultDynamicLimit is how many neighbors a RemotePrefix may have at a time.
	DefaultDynamicLimit = 1000
	// DefaultDynamicTimeout is how long a neighbor is remembered that has no
	// connection any more.
	DefaultDynamicTimeout = 30 * time.Second
	// refusedTimeout is how long one is that was refused (Server.Refuse), from its last
	// attempt on: forgotten, it would be let in again.
	refusedTimeout = time.Hour
)

// validateDynamic checks what only neighbors by prefix have.
func (c *Config) validateDynamic(bad func(format string, args ...any)) {
	if !c.RemotePrefix.IsValid() && (c.DynamicLimit != 0 || c.DynamicTimeout != 0) {
		bad("a limit or timeout of dynamic neighbors, without a remote prefix")
	}
	if c.DynamicLimit < 0 || c.DynamicTimeout < 0 {
		bad("a limit or timeout of dynamic neighbors is below zero")
	}
}

// neighbor is the configuration of the neighbor that a host within RemotePrefix
// becomes.
func (c Config) neighbor(host netip.Addr) Config {
	c.Template = c.Name
	c.Name = host.String()
	c.RemoteAddr, c.RemotePrefix = host, netip.Prefix{}
	return c
}

// admit makes a neighbor of a host that connects, if a prefix covers it. The caller
// holds mu.
func (s *Server) admit(local, host netip.Addr) *peer {
	t := s.template(local, host)
	if t == nil || s.ctx == nil || t.Shutdown {
		return nil
	}
	n := 0
	for _, p := range s.peers {
		if p.template == t.Name {
			n++
		}
	}
	if n >= cmp.Or(t.DynamicLimit, DefaultDynamicLimit) {
		level := slog.LevelDebug
		if now := time.Now(); now.Sub(s.refusedLogged) >= time.Second { // hosts may be many
			s.refusedLogged, level = now, slog.LevelWarn
		}
		s.opt.Log.Log(s.ctx, level, "bgp neighbor refused", "remote", host, "reason", fmt.Sprintf("peer %q has as many neighbors as it may have", t.Name), "limit", n)
		return nil
	}
	c := t.neighbor(host)
	if s.peers[c.Name] != nil {
		c.Name = t.Name + " " + c.Name // somebody else is called like that
	}
	p := newPeer(c, s.opt)
	p.template, p.retire = t.Name, s.retire
	s.peers[c.Name] = p
	s.start(p)
	s.watch()
	return p
}

// template finds the prefix that a host belongs to; nil: none covers it.
func (s *Server) template(local, host netip.Addr) *Config {
	var t *Config
	for _, c := range s.templates {
		if c.RemotePrefix.Contains(host.WithZone("")) && (!c.LocalAddr.IsValid() || c.LocalAddr == local) &&
			(t == nil || better(&c, t)) {
			t = &c
		}
	}
	return t
}

// better tells which of two prefixes a host within both belongs to: the longer one,
// or else the one that insists on our address, or else the first by name.
func better(a, b *Config) bool {
	insists := func(c *Config) int {
		if c.LocalAddr.IsValid() {
			return 0
		}
		return 1
	}
	return cmp.Or(cmp.Compare(b.RemotePrefix.Bits(), a.RemotePrefix.Bits()), cmp.Compare(insists(a), insists(b)), cmp.Compare(a.Name, b.Name)) < 0
}

// keep says what becomes of a dynamic neighbor under new templates; false: it has to
// go, and may come back as what it is now.
func (s *Server) keep(p *peer) bool {
	host := p.config().RemoteAddr
	t := s.template(p.local(), host)
	if t == nil || t.Name != p.template || s.configured(host) {
		return false
	}
	c := t.neighbor(host)
	c.Name = p.name
	p.want(c)
	return true
}

// local is our address on the neighbor's connection, as far as it is known.
func (p *peer) local() netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.status.LocalAddr.Addr(); a.IsValid() {
		return a
	}
	return p.wanted.LocalAddr
}

// configured tells if a neighbor is configured by this address.
func (s *Server) configured(host netip.Addr) bool {
	for _, p := range s.peers {
		if p.template == "" && p.config().RemoteAddr == host {
			return true
		}
	}
	return false
}

// retire forgets a dynamic neighbor that has been without a connection for long.
func (s *Server) retire(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[p.name] == p {
		delete(s.peers, p.name)
		s.watch()
	}
}

// lonely is when a dynamic neighbor is to be retired, if nothing happens; zero: not
// now.
func (p *peer) lonely(now time.Time) time.Time {
	if p.template == "" {
		return time.Time{}
	}
	if len(p.conns) > 0 {
		p.aloneSince = time.Time{}
		return time.Time{}
	}
	if p.aloneSince.IsZero() {
		p.aloneSince = now
	}
	timeout := cmp.Or(p.cfg.DynamicTimeout, DefaultDynamicTimeout)
	if !p.m.started && !p.cfg.Shutdown {
		timeout = max(timeout, refusedTimeout)
	}
	return p.aloneSince.Add(timeout)
}
