package speaker

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/bgp"
	"github.com/pharoslb/pharos/election"
	"github.com/pharoslb/pharos/layer2"
	"github.com/pharoslb/pharos/why"
)

// Status is a speaker as it was at one moment: a copy.
type Status struct {
	Node     string `json:"node"`
	Synced   bool   `json:"synced"`   // the cluster is known in full
	Revision uint64 `json:"revision"` // of the Snapshot

	// Updates counts Services and configurations worked in, UpdateErrors what
	// could not be.
	Updates      uint64 `json:"updates"`
	UpdateErrors uint64 `json:"updateErrors"`

	Config   ConfigStatus     `json:"config"`
	Sessions []Session        `json:"sessions"` // by configured order
	Services []ServiceStatus  `json:"services"` // of type LoadBalancer, by name
	Members  MembershipStatus `json:"members"`
	Layer2   *Layer2Status    `json:"layer2,omitempty"` // nil: nothing is announced there

	// DataPlane is how the node's data plane is heard; nil: nobody listens.
	DataPlane *DataPlaneState `json:"dataPlane,omitempty"`

	// Drain says how far the node's drain has come; OK where there is none.
	Drain why.Reason `json:"drain"`
}

// ConfigStatus says whether the newest configuration is in force.
type ConfigStatus struct {
	Loaded   bool         `json:"loaded"`             // there is one in force
	Stale    bool         `json:"stale"`              // it is not the newest
	Reason   why.Reason   `json:"reason"`             // why the newest is not in force; OK where it is
	Problems []why.Reason `json:"problems,omitempty"` // peers left out on this node
}

// Session is one BGP session.
type Session struct {
	Peer string `json:"peer"` // name in the configuration
	// Addr is the peer's, Interface the link that a peer without a configured
	// address is found on: Addr then has no address until it is.
	Addr      netip.AddrPort `json:"addr"`
	Interface string         `json:"interface,omitempty"`
	VRF       string         `json:"vrf,omitempty"` // empty: the default one

	// Reason says why the session is not Established; OK where it is. Where it is
	// of another code than SessionDown the session is not attempted at all.
	Reason why.Reason `json:"reason"`

	Local    netip.AddrPort `json:"local,omitzero"`
	LocalAS  uint32         `json:"localAS"`
	RemoteAS uint32         `json:"remoteAS"`
	RouterID netip.Addr     `json:"routerID"`
	State    string         `json:"state"` // as RFC 4271 names it
	Since    time.Time      `json:"since"`

	// HoldTime and KeepaliveTime are the negotiated ones.
	HoldTime      time.Duration `json:"holdTime"`
	KeepaliveTime time.Duration `json:"keepaliveTime"`
	Authenticated bool          `json:"authenticated"`

	// Desired prefixes, those the peer has, those still to be written, and
	// those that this session can't carry, or must not (Foreign): no pool that is
	// advertised to the peer has them.
	Desired    int `json:"desired"`
	Advertised int `json:"advertised"`
	Pending    int `json:"pending"`
	Withheld   int `json:"withheld"`
	Foreign    int `json:"foreign"`

	// BFD is the session that watches the path to the peer; nil: none does.
	BFD *BFD `json:"bfd,omitempty"`

	Received bgp.Messages `json:"received"`
	Sent     bgp.Messages `json:"sent"`

	Establishments uint64    `json:"establishments"`
	Drops          uint64    `json:"drops"`
	LastError      string    `json:"lastError,omitempty"` // until it is Established again
	LastErrorAt    time.Time `json:"lastErrorAt,omitzero"`
}

// BFD is one BFD session.
type BFD struct {
	State  string    `json:"state"` // as RFC 5880 names it
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"` // why State was entered
	// DetectionTime is how long the peer may be silent, as negotiated; 0: not yet.
	DetectionTime    time.Duration `json:"detectionTime"`
	TransmitInterval time.Duration `json:"transmitInterval"`
	Ups              uint64        `json:"ups"`
	Downs            uint64        `json:"downs"`
	Sent             uint64        `json:"sent"` // control packets
	Received         uint64        `json:"received"`
	EchoesSent       uint64        `json:"echoesSent"`
	EchoesReceived   uint64        `json:"echoesReceived"`
	Error            string        `json:"error,omitempty"` // of the kernel, about sending
}

// ServiceStatus is one Service of type LoadBalancer.
type ServiceStatus struct {
	Name      pharos.Name     `json:"name"`
	Addresses []AddressStatus `json:"addresses,omitempty"`
	Reason    why.Reason      `json:"reason"` // the deciding one
	Nodes     []string        `json:"nodes,omitempty"`
}

// AddressStatus is one address of a Service.
type AddressStatus struct {
	Addr      netip.Addr     `json:"addr"`
	Pool      string         `json:"pool,omitempty"`
	Protocols []pharos.Mode  `json:"protocols,omitempty"` // that this node announces it over
	Prefixes  []netip.Prefix `json:"prefixes,omitempty"`  // as announced over BGP
	Reason    why.Reason     `json:"reason"`              // NodeAssigned, or why it is not announced
	// LastResort says that the prefixes are marked to be used only where there are no
	// others (RFC 8326).
	LastResort bool `json:"lastResort,omitempty"`

	// Peers are those of this node that hold one of the prefixes, sorted: what
	// their sessions have carried, not what is wanted.
	Peers []string `json:"peers,omitempty"`

	// Owner is the node that announces it on layer 2; empty: none does. Interfaces are
	// those that the owner, if it is this node, may announce it on; none: any.
	Owner      string   `json:"owner,omitempty"`
	Interfaces []string `json:"interfaces,omitempty"`
}

// Peers are those of this node that hold a route to one of the addresses, sorted.
func (s *ServiceStatus) Peers() []string {
	var peers []string
	for i := range s.Addresses {
		peers = union(peers, s.Addresses[i].Peers)
	}
	return peers
}

// Endpoint names the far end of the session in the same words whatever its state: its
// address and port, or the interface in the address's place.
func (s *Session) Endpoint() string {
	if s.Interface != "" {
		return net.JoinHostPort(s.Interface, strconv.Itoa(int(s.Addr.Port())))
	}
	if !s.Addr.IsValid() {
		return s.Peer // it is refused for having none, as a rule
	}
	return s.Addr.String()
}

// Host is Endpoint without the port.
func (s *Session) Host() string {
	switch {
	case s.Interface != "":
		return s.Interface
	case !s.Addr.IsValid():
		return s.Peer
	}
	return s.Addr.Addr().String()
}

// Layer2Status is what a node does on layer 2.
type Layer2Status struct {
	// Reason says why the node announces nothing: it is fenced, or takes no part; OK
	// where it may.
	Reason why.Reason `json:"reason"`
	// Heard of Counted speakers are heard, for fencing.
	Heard   int             `json:"heard"`
	Counted int             `json:"counted"`
	Policy  election.Policy `json:"policy"` // in force
	Links   []LinkStatus    `json:"links,omitempty"`
	// Addresses are those answered for, by address; some may be about to be handed over.
	Addresses []AnsweredStatus `json:"addresses,omitempty"`
	Conflicts uint64           `json:"conflicts"` // told of
}

// LinkStatus is one link of the node.
type LinkStatus struct {
	Name  string `json:"name"`
	MAC   string `json:"mac"`
	IPv4  string `json:"ipv4"` // layer2.LinkState for addresses of the family
	IPv6  string `json:"ipv6"`
	Error string `json:"error,omitempty"`
}

// AnsweredStatus is one address that the node answers for.
type AnsweredStatus struct {
	Addr       netip.Addr `json:"addr"`
	Reach      string     `json:"reach"`                // layer2.Reach
	Interfaces []string   `json:"interfaces,omitempty"` // that it is announced on now
	Requests   uint64     `json:"requests"`             // received
	Responses  uint64     `json:"responses"`            // sent
	Gratuitous uint64     `json:"gratuitous"`           // announcements sent unasked
	Claims     uint64     `json:"claims"`               // of other hosts, received
}

// Status returns the speaker's state. It may be called from any goroutine.
func (s *Speaker) Status() Status {
	s.mu.Lock()
	st := s.status
	st.Node, st.Synced, st.Revision = s.opt.Node, s.synced, s.snap.Revision
	var order []session
	if s.view != nil {
		st.Config.Problems, order = s.view.problems, s.view.sessions
	}
	plans := slices.SortedFunc(maps.Values(s.plans), func(a, b *Plan) int { return a.Service.Compare(b.Service) })
	st.Layer2 = s.layer2Status()
	st.DataPlane, st.Drain = s.dataPlaneStatus(), s.drainStatus()
	s.mu.Unlock()
	if st.Layer2 != nil {
		st.Layer2.describe(s.edge.Layer2.Status())
	}

	st.Services = make([]ServiceStatus, 0, len(plans))
	held := s.holders(plans, order)
	for _, p := range plans {
		st.Services = append(st.Services, serviceStatus(p, held))
	}
	live := s.edge.Sessions.Status()
	st.Sessions = make([]Session, 0, len(live))
	for i := range order {
		l := &bgp.SessionStatus{Config: order[i].config}
		if order[i].refused.Code == why.OK {
			at := slices.IndexFunc(live, func(l bgp.SessionStatus) bool { return l.Name == order[i].config.Name })
			if at < 0 {
				continue
			}
			l = &live[at]
		}
		st.Sessions = append(st.Sessions, sessionStatus(&order[i], l))
	}
	if s.edge.Membership != nil {
		st.Members = s.edge.Membership.Status()
	}
	return st
}

// Healthy returns why the speaker can't do its work yet, or nil. It costs
// nothing, so that a probe may ask often.
func (s *Speaker) Healthy() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.synced:
		return nil
	case s.lost:
		return errors.New("the API server knows no node of this speaker's name")
	}
	return errors.New("the cluster is not yet known in full")
}

// holders returns the peers that hold each announced prefix, sorted by name.
func (s *Speaker) holders(plans []*Plan, sessions []session) map[netip.Prefix][]string {
	held := map[netip.Prefix][]string{}
	for _, p := range plans {
		for i := range p.Addresses {
			for _, r := range p.Addresses[i].Routes {
				held[r.Prefix] = nil
			}
		}
	}
	prefixes := slices.Collect(maps.Keys(held))
	names := map[string]string{}
	for i := range sessions {
		if ses := &sessions[i]; ses.refused.Code == why.OK {
			names[ses.peer] = ses.config.Name
		}
	}
	for _, peer := range slices.Sorted(maps.Keys(names)) {
		for i, has := range s.edge.Sessions.Holds(names[peer], prefixes) {
			if has {
				held[prefixes[i]] = append(held[prefixes[i]], peer)
			}
		}
	}
	return held
}

func serviceStatus(p *Plan, held map[netip.Prefix][]string) ServiceStatus {
	st := ServiceStatus{Name: p.Service, Reason: p.reason(), Nodes: p.Nodes}
	for _, a := range p.Addresses {
		as := AddressStatus{Addr: a.Addr, Pool: a.Pool, Reason: a.Reason}
		for _, r := range a.Routes {
			as.Prefixes = append(as.Prefixes, r.Prefix)
			as.LastResort = as.LastResort || r.Last
			as.Peers = union(as.Peers, held[r.Prefix])
		}
		if len(a.Routes) > 0 {
			as.Protocols = append(as.Protocols, pharos.BGP)
		}
		if a.here() {
			as.Protocols = append(as.Protocols, pharos.Layer2)
			as.Interfaces = a.Layer2.Interfaces
		}
		if a.Layer2 != nil {
			as.Owner = a.Layer2.Owner
		}
		slices.SortFunc(as.Prefixes, netip.Prefix.Compare)
		as.Prefixes = slices.Compact(as.Prefixes)
		st.Addresses = append(st.Addresses, as)
	}
	return st
}

// layer2Status is what the Speaker itself knows of layer 2.
func (s *Speaker) layer2Status() *Layer2Status {
	l := &s.segments
	if s.edge.Layer2 == nil {
		return nil
	}
	st := &Layer2Status{Reason: l.crowd.reason, Policy: l.crowd.policy, Conflicts: l.conflicts}
	if st.Reason.Code == why.OK {
		st.Reason = l.crowd.fenced
	}
	st.Heard, st.Counted = l.quorum.Counts()
	return st
}

// describe adds what the Announcer knows.
func (st *Layer2Status) describe(a layer2.Status) {
	for i := range a.Links {
		l := &a.Links[i]
		st.Links = append(st.Links, LinkStatus{Name: l.Name, MAC: l.MAC.String(), IPv4: l.IPv4.String(), IPv6: l.IPv6.String(), Error: l.Err})
	}
	for i := range a.Addresses {
		ad := &a.Addresses[i]
		st.Addresses = append(st.Addresses, AnsweredStatus{
			Addr: ad.Addr, Reach: ad.Reach.String(), Interfaces: ad.Interfaces,
			Requests: ad.Requests, Responses: ad.Responses, Gratuitous: ad.Gratuitous, Claims: ad.Claims,
		})
	}
}

func sessionStatus(ses *session, l *bgp.SessionStatus) Session {
	s := Session{
		Peer: ses.peer, Addr: l.Config.Remote(), Interface: ses.link, VRF: ses.vrf, Local: l.LocalAddr,
		LocalAS: l.Config.LocalAS, RemoteAS: cmp.Or(l.RemoteAS, l.Config.RemoteAS), RouterID: l.Config.RouterID,
		State: l.State.String(), Since: l.Since,
		HoldTime: l.HoldTime, KeepaliveTime: l.KeepaliveTime, Authenticated: l.Authenticated,
		Desired: l.Desired, Advertised: l.Advertised, Pending: l.Pending, Withheld: l.Withheld, Foreign: l.Foreign,
		Received: l.Received, Sent: l.Sent,
		Establishments: l.Establishments, Drops: l.Drops,
		Reason: ses.refused,
	}
	if b := l.BFD; b != nil {
		s.BFD = &BFD{
			State: b.State.String(), Since: b.Since, Reason: b.Reason.String(),
			DetectionTime: b.DetectionTime, TransmitInterval: b.TransmitInterval, Ups: b.Ups, Downs: b.Downs,
			Sent: b.Sent, Received: b.Received, EchoesSent: b.EchoesSent, EchoesReceived: b.EchoesReceived,
			Error: b.SendError,
		}
	}
	if l.State == bgp.Established || ses.refused.Code != why.OK {
		return s
	}
	s.Reason = why.New(why.SessionDown, "the session is %s", s.State)
	if !l.LastError.At.IsZero() {
		s.LastError, s.LastErrorAt = l.LastError.Down.String(), l.LastError.At
		s.Reason.Detail += ": " + s.LastError
	} else if ses.link != "" && !l.Config.RemoteAddr.IsValid() {
		s.Reason.Detail += fmt.Sprintf(": no neighbor was found on interface %s yet", ses.link)
	}
	return s
}
