package why

import (
	"fmt"
	"strings"
)

// Code names one reason. Its zero value, OK, says that nothing stands in the way.
type Code uint8

// The reasons of the controller, named as MetalLB names its events.
const (
	OK                 Code = iota
	IPAllocated             // the Service got its address
	AllocationFailed        // no address can be given as the Service asks
	ClearAssignment         // the address was taken back
	LoadBalancerFailed      // the Service's request contradicts itself
	ClassMismatch           // another load balancer's class is named
	NotLoadBalancer         // the Service's type needs no address
	NotSynced               // the cluster is not yet known in full
	DeprecatedAnnotation
	AdditionalAssignFailed // a dual-stack Service has one address and lacks the other
	NotEnoughClusterIPs    // two families are required of a Service with one cluster IP
	NoClusterIPs           // without a cluster IP a Service's families are unknown
	NoLBIPFamilies         // the status has more than one address of a family

	// The reasons of a speaker, named as MetalLB logs them.
	NodeAssigned            // announced from this node
	NoIPAllocated           // the Service has no address yet
	IPNotAllowed            // the address is in no pool
	NoMatchingAdvertisement // no advertisement selects pool and node
	NodeNetworkUnavailable  // the node's NetworkUnavailable condition is true
	NodeLabeledExcludeBalancers
	NoLocalEndpoints            // policy Local, and no endpoint on this node
	NoEndpoints                 // no endpoint anywhere can serve
	NoPeers                     // no peer selects this node
	NotOwner                    // another node announces the address on layer 2
	AnnounceFailed              // this node should announce the address and can't
	ConflictingAdvertisements   // two advertisements contradict each other for this Service
	SharedIPWithServiceSelector // a shared address and advertisements for some Services alone
	AddressConflict             // another host on the link claims the address
	NodeDraining                // the node loses its traffic: it announces as the last resort, then not at all
	DataPlaneAwaited            // the node's data plane does not serve the Service yet
	DataPlaneBehind             // the node's data plane does not serve the Service any more as it should
	Fenced                      // this node lost touch with most of the speakers

	// The reasons of a configuration.
	ConfigLoaded
	ConfigInvalid // it does not parse, or contradicts itself
	ConfigMissing
	ConfigOrphans    // it would take away an address in use
	SecretMissing    // a Secret that is referred to is not there
	ReferenceMissing // another object that is referred to is not there
	SessionDown      // a BGP session is not established
	SysctlWrong      // a kernel setting of the node is not as it must be
	PortUnavailable  // a node port can't be opened
	APIUnreachable   // the API server does not answer

	// The reasons of a data plane.
	FrontendTaken    // an older Service answers at the same address and port
	FrontendOccupied // another program of the node answers at the same address
	DataPlaneRefused // the kernel does not take what was planned
	DataPlaneModeInvalid
	NodeUnknown // an endpoint is on no node that is known, so that mode direct is not possible
	DrainInvalid
	DataPlaneMode     // how a Service is carried
	DriverChosen      // the mechanism that the data plane uses
	DriverUnavailable // a mechanism that this node can't use
)

type info struct {
	name    string
	warning bool
	text    string
}

var codes = [...]info{
	OK:                          {"ok", false, "nothing stands in the way"},
	IPAllocated:                 {"IPAllocated", false, "the Service has its address"},
	AllocationFailed:            {"AllocationFailed", true, "no address can be given as the Service asks"},
	ClearAssignment:             {"ClearAssignment", false, "the Service's address was taken back"},
	LoadBalancerFailed:          {"LoadBalancerFailed", true, "the Service's request contradicts itself"},
	ClassMismatch:               {"classMismatch", false, "the Service names another load balancer class"},
	NotLoadBalancer:             {"notLoadBalancer", false, "the Service is not of type LoadBalancer"},
	NotSynced:                   {"notSynced", false, "the cluster is not yet known in full"},
	DeprecatedAnnotation:        {"deprecatedAnnotation", true, "the annotation's prefix metallb.universe.tf/ is deprecated, use metallb.io/"},
	AdditionalAssignFailed:      {"AdditionalAssignFailed", false, "the Service's second family has no address"},
	NotEnoughClusterIPs:         {"not enough clusterips", true, "the Service requires two families and has one cluster IP"},
	NoClusterIPs:                {"noclusterIPsIPFamily", true, "the Service has no cluster IP that tells its families"},
	NoLBIPFamilies:              {"nolbIPsIPFamily", true, "the Service's status has more than one address of a family"},
	NodeAssigned:                {"nodeAssigned", false, "the address is announced"},
	NoIPAllocated:               {"noIPAllocated", false, "the Service has no address yet"},
	IPNotAllowed:                {"ipNotAllowed", true, "the address is in no pool"},
	NoMatchingAdvertisement:     {"noMatchingAdvertisement", false, "no advertisement selects the pool and this node"},
	NodeNetworkUnavailable:      {"nodeNetworkUnavailable", false, "the node's network is unavailable"},
	NodeLabeledExcludeBalancers: {"nodeLabeledExcludeBalancers", false, "the node is labeled to be excluded from external load balancers"},
	NoLocalEndpoints:            {"noLocalEndpoints", false, "the Service's traffic policy is Local and no endpoint on this node can serve"},
	NoEndpoints:                 {"noEndpoints", false, "no endpoint can serve"},
	NoPeers:                     {"noPeers", false, "no BGP peer selects this node"},
	NotOwner:                    {"notOwner", false, "another node announces the address"},
	AnnounceFailed:              {"announceFailed", true, "this node should announce the address and can't"},
	ConflictingAdvertisements:   {"conflictingAdvertisements", true, "two advertisements contradict each other"},
	SharedIPWithServiceSelector: {"sharedIPWithServiceSelector", true, "the address is shared, and an advertisement selects Services"},
	AddressConflict:             {"addressConflict", true, "another host on the link claims the address"},
	NodeDraining:                {"nodeDraining", false, "the node is being drained"},
	DataPlaneAwaited:            {"dataPlaneAwaited", false, "the node's data plane does not serve the Service yet"},
	DataPlaneBehind:             {"dataPlaneBehind", true, "the node's data plane does not serve the Service any more as it should"},
	Fenced:                      {"fenced", true, "this node has lost touch with most of the speakers and keeps quiet on layer 2"},
	ConfigLoaded:                {"configLoaded", false, "the configuration is in force"},
	ConfigInvalid:               {"configInvalid", true, "the configuration is invalid; the last good one stays in force"},
	ConfigMissing:               {"configMissing", true, "there is no configuration"},
	ConfigOrphans:               {"configOrphansAddress", true, "the configuration would take away an address in use; the last good one stays in force"},
	SecretMissing:               {"secretMissing", true, "a Secret that is referred to does not exist"},
	ReferenceMissing:            {"referenceMissing", true, "an object that is referred to does not exist"},
	SessionDown:                 {"sessionDown", true, "the BGP session is not established"},
	SysctlWrong:                 {"sysctlWrong", true, "a kernel setting of the node is not as it must be"},
	PortUnavailable:             {"portUnavailable", true, "a port of the node can't be opened"},
	APIUnreachable:              {"apiUnreachable", true, "the API server does not answer"},
	FrontendTaken:               {"frontendTaken", true, "an older Service answers at the same address and port"},
	FrontendOccupied:            {"frontendOccupied", true, "another program of the node answers at the same address"},
	DataPlaneRefused:            {"dataPlaneRefused", true, "the kernel does not take what was planned; it is tried again"},
	NodeUnknown:                 {"nodeUnknown", true, "an endpoint's node is not known; the Service is carried in mode nat"},
	DrainInvalid:                {"drainInvalid", true, "the node's drain annotation can't be read; the node is not drained"},
	DataPlaneMode:               {"dataPlaneMode", false, "how the Service's external addresses are carried"},
	DriverChosen:                {"driverChosen", false, "the data plane uses this driver"},
	DriverUnavailable:           {"driverUnavailable", false, "this node can't run the driver"},
	DataPlaneModeInvalid:        {"dataPlaneModeInvalid", true, "the mode asked for does not exist; the default one holds"},
}

// String returns the code's name: an event's reason, a metric's label.
func (c Code) String() string {
	if int(c) < len(codes) {
		return codes[c].name
	}
	return fmt.Sprintf("code(%d)", uint8(c))
}

// Warning reports whether an operator has to do something about it.
func (c Code) Warning() bool { return int(c) < len(codes) && codes[c].warning }

// Text returns the code's meaning as half a sentence.
func (c Code) Text() string {
	if int(c) < len(codes) {
		return codes[c].text
	}
	return c.String()
}

// MarshalText renders the code by its name.
func (c Code) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText reads a name that MarshalText wrote.
func (c *Code) UnmarshalText(text []byte) error {
	for i, known := range codes {
		if known.name == string(text) {
			*c = Code(i)
			return nil
		}
	}
	return fmt.Errorf("unknown reason %q", text)
}

// Reason is why something was decided: the case, and its particulars for a
// person to read. Detail may be empty and never holds a secret.
type Reason struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// New returns a Reason with its particulars formatted as by fmt.Sprintf.
func New(code Code, format string, args ...any) Reason {
	return Reason{Code: code, Detail: fmt.Sprintf(format, args...)}
}

// String returns the particulars, or what the code means where there are none.
func (r Reason) String() string {
	if r.Detail != "" {
		return r.Detail
	}
	return r.Code.Text()
}

// Trail is every reason that led to a decision, the deciding one last.
type Trail []Reason

// String returns the reasons in order, one a line, each with its code.
func (t Trail) String() string {
	var b strings.Builder
	for i, r := range t {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s", r.Code, r)
	}
	return b.String()
}
