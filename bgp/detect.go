package bgp

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pharoslb/pharos/bfd"
)

// BFD is how the path to a peer is watched.
type BFD struct {
	bfd.Profile
	// Multihop says that there may be routers between (RFC 5883).
	Multihop bool
	// Auth signs packets and demands signed ones; nil: none.
	Auth *bfd.Auth
}

// Detector watches the paths to peers: bfd.Server, whose Handler calls
// Server.StateChanged.
type Detector interface {
	Set([]bfd.Config) error
	Status() []bfd.SessionStatus
}

func (b *BFD) session(c *Config) bfd.Config {
	return bfd.Config{
		Name: c.Name, Remote: c.RemoteAddr, Local: c.LocalAddr, Multihop: b.Multihop,
		Profile: b.Profile, Auth: b.Auth,
	}
}

// validateBFD checks what is asked of the Detector, which would refuse the whole set
// for it.
func (c *Config) validateBFD() error {
	if c.BFD == nil {
		return nil
	}
	session := c.BFD.session(c)
	if c.RemotePrefix.IsValid() { // any of its hosts will do
		session.Remote = c.RemotePrefix.Addr().Next()
	} else if c.Unnumbered() {
		session.Remote = netip.MustParseAddr("fe80::1").WithZone(c.Interface)
	}
	if err := session.Validate(); err != nil {
		return fmt.Errorf("bfd: %w", err)
	}
	return nil
}

// StateChanged is how the Detector tells of a path: it makes a Server a bfd.Handler.
// A session ends at once when its path fails; a peer whose operator shut BFD down has
// not failed (RFC 5882 §3.2).
func (s *Server) StateChanged(c bfd.Change) {
	if c.Failed() {
		s.PathDown(c.Name)
	}
}

// watch tells the Detector whose paths to watch: of peers with BFD that are not shut
// down, and whose address is known. The caller holds mu.
func (s *Server) watch() {
	if s.opt.Detector == nil || s.ctx == nil {
		return
	}
	watched := []bfd.Config{}
	for _, p := range s.peers {
		if c := p.config(); c.BFD != nil && !c.Shutdown && c.RemoteAddr.IsValid() {
			watched = append(watched, c.BFD.session(&c))
		}
	}
	slices.SortFunc(watched, func(a, b bfd.Config) int { return cmp.Compare(a.Name, b.Name) })
	if err := s.opt.Detector.Set(watched); err != nil {
		s.opt.Log.Error("bfd cannot watch the paths to peers", "err", err)
	}
}
