package pharos

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pharoslb/pharos/why"
)

// Name is a namespaced object's name.
type Name struct{ Namespace, Name string }

// String returns namespace/name.
func (n Name) String() string { return n.Namespace + "/" + n.Name }

// MarshalText renders the name as namespace/name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads namespace/name.
func (n *Name) UnmarshalText(text []byte) error {
	n.Namespace, n.Name, _ = strings.Cut(string(text), "/")
	return nil
}

// Compare orders names by namespace, then name.
func (n Name) Compare(other Name) int {
	if c := strings.Compare(n.Namespace, other.Namespace); c != 0 {
		return c
	}
	return strings.Compare(n.Name, other.Name)
}

// Protocol is a transport protocol, as a Service's port names it.
type Protocol string

// The protocols of Services.
const (
	TCP  Protocol = "TCP"
	UDP  Protocol = "UDP"
	SCTP Protocol = "SCTP"
)

// DataPlaneMode is how the data plane carries connections that come from outside the
// cluster.
type DataPlaneMode string

// The modes of the data plane.
const (
	ModeDefault DataPlaneMode = ""       // what the proxy is told
	NAT         DataPlaneMode = "nat"    // the node that a connection reaches translates it, and keeps it
	Direct      DataPlaneMode = "direct" // the node of the connection's pod does, whichever node it reaches
)

// UnmarshalText reads a mode's name.
func (m *DataPlaneMode) UnmarshalText(text []byte) error {
	switch mode := DataPlaneMode(text); mode {
	case NAT, Direct:
		*m = mode
		return nil
	}
	return fmt.Errorf("%q is no mode of the data plane (%s or %s)", text, NAT, Direct)
}

// ServiceType is a Service's spec.type.
type ServiceType string

// The types of Services.
const (
	ClusterIP    ServiceType = "ClusterIP"
	NodePort     ServiceType = "NodePort"
	LoadBalancer ServiceType = "LoadBalancer"
	ExternalName ServiceType = "ExternalName"
)

// Service is one Kubernetes Service: what its owner asks for, and what its
// status says already. Every address is valid and unmapped.
type Service struct {
	Name    Name
	UID     string // tells the Service from a later one of the same name
	Type    ServiceType
	Created time.Time

	// Class is spec.loadBalancerClass; empty means the default.
	Class string

	ClusterIPs  []netip.Addr // without "None"
	ExternalIPs []netip.Addr
	Ports       []ServicePort

	// ExternalLocal and InternalLocal say that the traffic policy is Local, not
	// Cluster.
	ExternalLocal bool
	InternalLocal bool

	// Affinity is how long a client sticks to its endpoint; zero means that it
	// does not (sessionAffinity: None).
	Affinity time.Duration

	// SourceRanges are the clients admitted to load balancer addresses; none
	// means all.
	SourceRanges []netip.Prefix

	// HealthCheckNodePort is the TCP port on which a node tells whether it has
	// local endpoints; zero where there is none.
	HealthCheckNodePort uint16

	// Mode is how the data plane carries connections from outside; ModeRefused
	// says why what was asked for is none.
	Mode        DataPlaneMode
	ModeRefused why.Reason

	// DualStack is spec.ipFamilyPolicy other than SingleStack; RequireDualStack
	// that one family is not enough.
	DualStack        bool
	RequireDualStack bool

	// Selector is the pod selector in canonical form: the same pods, the same
	// string. It tells whether two Services with policy Local may share an
	// address.
	Selector string
	Labels   map[string]string

	// Requested are the addresses asked for, by annotation or
	// spec.loadBalancerIP; RequestedPool the pool; SharingKey what lets Services
	// share an address. Refused says why the request can't be honoured at all
	// where it contradicts itself.
	Requested     []netip.Addr
	RequestedPool string
	SharingKey    string
	Refused       why.Reason

	// DeprecatedAnnotations says that an annotation with MetalLB's old prefix
	// was used.
	DeprecatedAnnotations bool

	// Ingress is status.loadBalancer.ingress as it stands: the addresses that
	// were given, in order; AllocatedFrom the pool noted beside them.
	Ingress       []netip.Addr
	AllocatedFrom string
}

// ServicePort is one port of a Service.
type ServicePort struct {
	Name     string
	Protocol Protocol
	Port     uint16
	NodePort uint16 // zero where there is none
}

// Endpoints are a Service's endpoints, of all its EndpointSlices.
type Endpoints struct {
	Backends []Backend
}

// Backend is one endpoint. Ports is shared by the endpoints of a slice and is
// matched to a Service's port by name and protocol.
type Backend struct {
	Addr        netip.Addr
	Node        string // empty if unknown
	Ready       bool   // gets new connections
	Serving     bool   // answers, though it may be terminating
	Terminating bool
	Ports       []BackendPort
}

// BackendPort is one port of an endpoint.
type BackendPort struct {
	Name     string
	Protocol Protocol
	Port     uint16
}

// Servable reports whether the endpoint makes its Service worth announcing:
// it is ready, or terminating but still serving.
func (b *Backend) Servable() bool { return b.Ready || b.Serving }
