package bgp

import (
	"fmt"
	"maps"
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
	s := bfd.Config{
		Name: c.Name, Remote: c.RemoteAddr, Local: c.LocalAddr, Multihop: b.Multihop,
		Profile: b.Profile, Auth: b.Auth,
	}
	// A link-local address has its own device, which is in the VRF.
	if s.Bound = c.Device != ""; s.Bound && !c.Unnumbered() && c.RemoteAddr.Zone() == "" {
		s.Interface = c.Device
	}
	return s
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
// The sessions on it end at once when the path fails; a peer whose operator shut BFD
// down has not failed (RFC 5882 §3.2). It waits for nothing that SetPeers does meanwhile:
// no other path is watched until it returns.
func (s *Server) StateChanged(c bfd.Change) {
	if !c.Failed() {
		return
	}
	if onPath := s.onPath.Load(); onPath != nil {
		for _, p := range (*onPath)[c.Name] {
			p.command(command{cause: CausePathDown})
		}
	}
}

// path is what tells BFD sessions apart. Peers that differ in port or AS alone are on
// the same one.
type path struct {
	remote, local netip.Addr
	device        string
	multihop      bool
}

// watch tells the Detector whose paths to watch: of peers with BFD that are not shut
// down, and whose address is known. Peers on one path share a session, by the profile of
// the first by name. The caller holds mu.
func (s *Server) watch() {
	if s.opt.Detector == nil || s.ctx == nil {
		return
	}
	watched := []bfd.Config{}
	onPath, first := make(map[string][]*peer), make(map[path]string)
	for _, name := range slices.Sorted(maps.Keys(s.peers)) {
		p := s.peers[name]
		c := p.config()
		if c.BFD == nil || c.Shutdown || !c.RemoteAddr.IsValid() {
			continue
		}
		session := c.BFD.session(&c)
		on := path{session.Remote, session.Local, session.Interface, session.Multihop}
		if _, ok := first[on]; !ok {
			first[on] = name
			watched = append(watched, session)
		}
		onPath[first[on]] = append(onPath[first[on]], p)
	}
	s.onPath.Store(&onPath)
	if err := s.opt.Detector.Set(watched); err != nil {
		s.opt.Log.Error("bfd cannot watch the paths to peers", "err", err)
	}
}
