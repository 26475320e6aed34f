package dataplane

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/pharoslb/pharos"
	"github.com/pharoslb/pharos/dataplane/table"
	"github.com/pharoslb/pharos/why"
)

// State is everything that one node's data plane has to do. It is immutable;
// its successor shares with it what did not change, so that
// Services.Diff costs what changed.
type State struct {
	// Revision is that of the Snapshot that was planned.
	Revision uint64

	Node     Node
	Siblings []Sibling // by name
	Services pharos.Map[pharos.Name, *Service]
}

// Changed returns the names of the Services that differ from another State's, in
// order.
func (s *State) Changed(other *State) []pharos.Name {
	var names []pharos.Name
	for name := range s.Services.Diff(other.Services) {
		names = append(names, name)
	}
	slices.SortFunc(names, pharos.Name.Compare)
	return names
}

// Node is what the data plane has to know of its own node.
type Node struct {
	Name string

	// Addresses are the node's own, as the API knows them. The kernel may hold
	// more.
	Addresses []netip.Addr

	// PodCIDRs are the sources that count as inside: the node's own pods.
	PodCIDRs []netip.Prefix

	// NodePorts are the node's addresses on which node ports answer; none means
	// all but loopback.
	NodePorts []netip.Prefix
}

// Sibling is another node of the cluster, to which packets of direct frontends
// are sent on.
type Sibling struct {
	Name      string
	Addresses []netip.Addr // internal ones, at most one a family
}

// Equal reports whether both say the same.
func (s Sibling) Equal(other Sibling) bool {
	return s.Name == other.Name && slices.Equal(s.Addresses, other.Addresses)
}

// Equal reports whether both say the same.
func (n *Node) Equal(other *Node) bool {
	return n.Name == other.Name && slices.Equal(n.Addresses, other.Addresses) &&
		slices.Equal(n.PodCIDRs, other.PodCIDRs) && slices.Equal(n.NodePorts, other.NodePorts)
}

// SecondChance is the DSCP of a packet that the current owner of its connection
// knows nothing of and has sent to the previous owner: it is never sent on again.
// It is one of RFC 2474's pool 2, for local use, and is gone before a pod sees
// the packet.
const SecondChance = 0b110111

// Service is what the data plane does for one Service.
type Service struct {
	Name      pharos.Name
	Frontends []Frontend // in the order of Target.Compare
	Groups    []Group    // frontends refer to them by index

	// Health is the health check that the node serves for the Service; its zero
	// value says none.
	Health Health

	// Refused are the frontends that the Service asks for and doesn't get.
	Refused []Refused

	// ModeRefused says why the Service is not carried in the mode that it, or the
	// proxy's default, asks for. Beside another proxy that is all that is planned of
	// it then.
	ModeRefused why.Reason
}

// Equal reports whether both say the same.
func (s *Service) Equal(other *Service) bool {
	return s.Name == other.Name && s.Health == other.Health &&
		slices.EqualFunc(s.Frontends, other.Frontends, func(a, b Frontend) bool { return a.Equal(&b) }) &&
		slices.EqualFunc(s.Groups, other.Groups, func(a, b Group) bool { return a.Equal(&b) }) &&
		slices.Equal(s.Refused, other.Refused) && s.ModeRefused == other.ModeRefused
}

// Without returns the Service without frontends that a driver left out; they are
// among those refused.
func (s *Service) Without(refused []Refused) *Service {
	left := *s
	left.Refused = slices.Concat(s.Refused, refused)
	left.Frontends = slices.DeleteFunc(slices.Clone(s.Frontends), func(f Frontend) bool {
		return slices.ContainsFunc(refused, func(r Refused) bool { return r.Target == f.Target })
	})
	return &left
}

// Target is what a packet is addressed to. A node port's address is the
// unspecified one of its family: it stands for the addresses of Node.NodePorts.
type Target struct {
	Addr     netip.Addr
	Protocol pharos.Protocol
	Port     uint16
}

// String returns the target as in 192.0.2.1:80/TCP.
func (t Target) String() string {
	if t.Addr.IsUnspecified() {
		host := "*"
		if t.Addr.Is6() {
			host = "[*]"
		}
		return fmt.Sprintf("%s:%d/%s", host, t.Port, t.Protocol)
	}
	return fmt.Sprintf("%s/%s", netip.AddrPortFrom(t.Addr, t.Port), t.Protocol)
}

// Compare orders targets by address, protocol and port.
func (t Target) Compare(other Target) int {
	if c := t.Addr.Compare(other.Addr); c != 0 {
		return c
	}
	if t.Protocol != other.Protocol {
		if t.Protocol < other.Protocol {
			return -1
		}
		return 1
	}
	return int(t.Port) - int(other.Port)
}

// Kind says what makes a frontend's address lead to the Service.
type Kind uint8

// The kinds of frontends.
const (
	ClusterIP Kind = iota
	LoadBalancer
	ExternalIP
	NodePort
)

var kinds = [...]string{"ClusterIP", "LoadBalancer", "ExternalIP", "NodePort"}

// String returns the kind as Kubernetes spells it.
func (k Kind) String() string { return kinds[k] }

// MarshalText renders the kind as Kubernetes spells it.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (k *Kind) UnmarshalText(text []byte) error { return parse(kinds[:], text, k) }

// Masquerade says which connections get an address of the node as their source
// on the way to the backend. A connection from a pod to itself always does.
type Masquerade uint8

// When a connection is masqueraded.
const (
	MasqueradeNever     Masquerade = iota
	MasqueradeForeign              // from sources outside Node.PodCIDRs
	MasqueradeOwnNode              // from the node itself
	MasqueradeEverybody            // always
)

var masquerades = [...]string{"never", "foreign", "ownNode", "everybody"}

// String returns the rule's name.
func (m Masquerade) String() string { return masquerades[m] }

// MarshalText renders the rule by its name.
func (m Masquerade) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (m *Masquerade) UnmarshalText(text []byte) error { return parse(masquerades[:], text, m) }

// Frontend is an address and port at which a Service answers.
type Frontend struct {
	Target
	Kind Kind
	Port string // the Service port's name

	// Outside and Inside index the Service's Groups: the one that packets from
	// elsewhere reach, and the one that packets from this node and its own pods
	// reach.
	Outside, Inside int

	// Direct says that packets from outside are carried by the Outside group's
	// Table: unchanged to the node that owns the connection, which alone
	// translates it. Its clients' addresses stay.
	Direct bool

	Masquerade Masquerade

	// Sources are the admitted clients, disjoint and sorted; nil means all. An
	// empty list that isn't nil admits nobody.
	Sources []netip.Prefix
}

// Equal reports whether both say the same.
func (f *Frontend) Equal(other *Frontend) bool {
	return f.Target == other.Target && f.Kind == other.Kind && f.Port == other.Port &&
		f.Outside == other.Outside && f.Inside == other.Inside && f.Direct == other.Direct && f.Masquerade == other.Masquerade &&
		(f.Sources == nil) == (other.Sources == nil) && slices.Equal(f.Sources, other.Sources)
}

// Admits reports whether a client's address is among the Sources.
func (f *Frontend) Admits(client netip.Addr) bool {
	return f.Sources == nil || slices.ContainsFunc(f.Sources, func(p netip.Prefix) bool { return p.Contains(client) })
}

// Scope says which nodes' endpoints a Group is made of.
type Scope uint8

// The scopes of traffic policies.
const (
	Cluster Scope = iota
	Local
)

var scopes = [...]string{"Cluster", "Local"}

// String returns the scope as Kubernetes spells it.
func (s Scope) String() string { return scopes[s] }

// MarshalText renders the scope as Kubernetes spells it.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (s *Scope) UnmarshalText(text []byte) error { return parse(scopes[:], text, s) }

// Group is the backends among which new connections are spread evenly.
type Group struct {
	Port     string // the Service port's name
	Protocol pharos.Protocol
	IPv6     bool
	Scope    Scope

	// Backends are sorted by address and port, each once.
	Backends []Backend

	// Empty says what happens to packets while there is no backend: Reject where
	// no node has one, Drop where others do, so that clients try there.
	Empty Action

	// Affinity is how long after its last connection a client's address comes
	// back to the same backend; zero means not at all.
	Affinity time.Duration

	// Table says which backend owns which connections of direct frontends; nil
	// where no frontend is direct. It holds draining endpoints too, which
	// Backends don't.
	Table *table.Table
}

// Key identifies a group among those of its Service.
func (g *Group) Key() GroupKey { return GroupKey{g.Port, g.Protocol, g.IPv6, g.Scope} }

// GroupKey is what tells the groups of a Service apart.
type GroupKey struct {
	Port     string
	Protocol pharos.Protocol
	IPv6     bool
	Scope    Scope
}

// Equal reports whether both say the same.
func (g *Group) Equal(other *Group) bool {
	return g.Key() == other.Key() && g.Empty == other.Empty && g.Affinity == other.Affinity &&
		slices.Equal(g.Backends, other.Backends) && g.Table.Equal(other.Table)
}

// Backend is one endpoint of a Group.
type Backend struct {
	Addr  netip.AddrPort
	Node  string // empty if unknown
	Local bool   // on the State's own node
}

// Health is a Service's health check on its node port.
type Health struct {
	Port      uint16 // zero: there is none
	Endpoints int    // ready ones on this node
}

// Refused is a frontend that a Service asks for and doesn't get.
type Refused struct {
	Target Target
	Reason why.Reason
}

// parse finds text among names and stores its index.
func parse[T ~uint8](names []string, text []byte, value *T) error {
	i := slices.Index(names, string(text))
	if i < 0 {
		return fmt.Errorf("unknown value %q, want one of %v", text, names)
	}
	*value = T(i)
	return nil
}
