package router

import (
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/bgp/wire"
	"github.com/pharoslb/pharos/rib"
)

// Status is the router as it was at one moment.
type Status struct {
	Now       time.Time        `json:"now"`
	Since     time.Time        `json:"since"` // when Run began
	AS        uint32           `json:"as"`
	RouterID  netip.Addr       `json:"routerID"`
	Neighbors []NeighborStatus `json:"neighbors"` // in the configuration's order, then dynamic ones
	IPv4      rib.Summary      `json:"ipv4"`
	IPv6      rib.Summary      `json:"ipv6"`
	// KernelRoutes is how many routes are in the kernel, those of an earlier run
	// included that are not swept yet.
	KernelRoutes int `json:"kernelRoutes"`
	// Connected are the networks of interfaces, without link-local ones.
	Connected []rib.Connected `json:"connected"`
	// Up are the devices that are up, with carrier and an address, be it a link-local
	// one; by name.
	Up []string `json:"up"`
}

// NeighborStatus is one neighbor.
type NeighborStatus struct {
	Name        string     `json:"name"` // in the engine and the tables
	Addr        netip.Addr `json:"address"`
	AS          uint32     `json:"as"`
	Description string     `json:"description,omitempty"`
	State       string     `json:"state"`
	Since       time.Time  `json:"since"` // when State was entered
	Paths       int        `json:"paths"`
	LastError   string     `json:"lastError,omitempty"`

	// Config is without the password. Tripped says that the neighbor is shut for
	// exceeding its prefix limit. Session is zero for a neighbor without one.
	// Dynamic neighbors were admitted by a prefix, whose settings they have.
	Dynamic    bool                           `json:"dynamic,omitempty"`
	Config     Neighbor                       `json:"-"`
	Tripped    bool                           `json:"tripped,omitempty"`
	Shutdown   bool                           `json:"shutdown,omitempty"` // by configuration
	HasSession bool                           `json:"-"`
	Session    bgp.SessionStatus              `json:"-"`
	Sources    map[wire.Family]rib.SourceView `json:"-"`
}

// Established says that the session is up.
func (n *NeighborStatus) Established() bool {
	return n.HasSession && n.Session.State == bgp.Established
}

// Carries says that the session is up with this family negotiated.
func (n *NeighborStatus) Carries(f wire.Family) bool {
	if !n.Established() {
		return false
	}
	for _, s := range n.Session.Families {
		if s.Family == f {
			return true
		}
	}
	return false
}

// Configured says that the neighbor is configured for a family.
func (n *NeighborStatus) Configured(f wire.Family) bool {
	for _, c := range n.Config.Families {
		if c == f {
			return true
		}
	}
	return false
}

// Summary returns the counts of one family's table.
func (s *Status) Summary(f wire.Family) rib.Summary {
	if f == wire.IPv4Unicast {
		return s.IPv4
	}
	return s.IPv6
}

// Status copies the router's state.
func (r *Router) Status() Status {
	sessions := make(map[string]bgp.SessionStatus)
	for _, s := range r.speaker.Status() {
		sessions[s.Name] = s
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := Status{
		Now: time.Now(), Since: r.started, AS: r.config.AS, RouterID: r.config.RouterID,
		KernelRoutes: r.opt.FIB.Len(),
	}
	for _, c := range r.networks {
		if !slices.Contains(s.Up, c.Device) {
			s.Up = append(s.Up, c.Device)
		}
		if !c.Prefix.Addr().IsLinkLocalUnicast() {
			s.Connected = append(s.Connected, c)
		}
	}
	slices.Sort(s.Up)
	if r.tables != nil {
		s.IPv4, s.IPv6 = r.tables[wire.IPv4Unicast].Summary(), r.tables[wire.IPv6Unicast].Summary()
	}
	for _, n := range r.config.Neighbors {
		if !n.Prefix.IsValid() {
			s.Neighbors = append(s.Neighbors, r.status(n.Name(), n, sessions))
		}
	}
	for _, name := range r.dynamicNames() {
		n := *r.neighbor(name)
		n.Addr = r.dynamic[name].addr
		v := r.status(name, n, sessions)
		v.Dynamic = true
		s.Neighbors = append(s.Neighbors, v)
	}
	return s
}

// status is that of one neighbor. The caller holds mu.
func (r *Router) status(name string, n Neighbor, sessions map[string]bgp.SessionStatus) NeighborStatus {
	v := NeighborStatus{
		Name: name, Addr: n.Addr, AS: n.AS, Description: n.Description, Config: n, Tripped: r.tripped[name] != nil, Shutdown: n.Shutdown,
		State: bgp.Idle.String(), Since: r.downSince[name], Sources: make(map[wire.Family]rib.SourceView),
	}
	if !v.Addr.IsValid() {
		v.Addr = r.addrs[name]
	}
	v.Config.Password = ""
	if v.Session, v.HasSession = sessions[name]; v.HasSession {
		v.State, v.Since, v.AS = v.Session.State.String(), v.Session.Since, n.remoteAS(&v.Session)
		if !v.Addr.IsValid() {
			v.Addr = v.Session.Config.RemoteAddr // found on the interface
		}
		if !v.Session.LastError.At.IsZero() {
			v.LastError = v.Session.LastError.Down.String()
		}
		// Below Established the states come and go with every attempt; how long the
		// neighbor has been away is what is asked for.
		if down := r.downSince[name]; v.Session.State != bgp.Established && !down.IsZero() {
			v.Since = down
		}
	}
	for f, t := range r.tables {
		if source, ok := t.Source(name); ok {
			v.Sources[f] = source
			v.Paths += source.Paths
		}
	}
	return v
}

// Entries copies the table of a family, sorted by prefix.
func (r *Router) Entries(f wire.Family) []rib.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tables[f]; t != nil {
		return t.Entries()
	}
	return nil
}

// Lookup copies the entry of exactly this prefix.
func (r *Router) Lookup(p netip.Prefix) (rib.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tables[wire.FamilyOf(p)]; t != nil {
		return t.Lookup(p)
	}
	return rib.Entry{}, false
}

// Covering copies the entry with the longest prefix that has the address.
func (r *Router) Covering(a netip.Addr) (rib.Entry, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tables[wire.FamilyOf(netip.PrefixFrom(a, 0))]; t != nil {
		return t.Covering(a)
	}
	return rib.Entry{}, false
}
