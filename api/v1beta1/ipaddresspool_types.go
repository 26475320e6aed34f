package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Annotations of an IPAddressPool for what MetalLB has no field for.
const (
	// CoolDownAnnotation is how long an address that was given back goes to nobody
	// else, such as 10m.
	CoolDownAnnotation = "pharoslb.io/cool-down"

	// ReservationsAnnotation keeps addresses of the pool for Services, such as
	// "default/web=192.0.2.7, default/web=2001:db8::7, shop/api=192.0.2.9".
	ReservationsAnnotation = "pharoslb.io/reservations"

	// QuotaAnnotation limits how many addresses the Services of a namespace hold
	// together, such as "shop=5, *=20".
	QuotaAnnotation = "pharoslb.io/quota"
)

// IPAddressPoolSpec is a stock of addresses, and who may have them.
type IPAddressPoolSpec struct {
	// Addresses to give out: CIDRs such as 192.0.2.0/24, and ranges such as
	// 192.0.2.10-192.0.2.20. They must not overlap, nor overlap another pool's.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16384
	// +kubebuilder:validation:items:MaxLength=100
	// +kubebuilder:validation:items:XValidation:rule="self.contains('-') || isCIDR(self)",message="must be a CIDR, such as 192.0.2.0/24 (a single address is a /32, or /128), or a range, such as 192.0.2.10-192.0.2.20"
	// +kubebuilder:validation:items:XValidation:rule="!self.contains('-') || self.matches('^[ \\t]*[0-9a-fA-F.:]+[ \\t]*-[ \\t]*[0-9a-fA-F.:]+[ \\t]*$')",message="a range is two addresses, such as 192.0.2.10-192.0.2.20"
	Addresses []string `json:"addresses"`

	// Gives addresses to Services that do not ask for the pool. Otherwise only to
	// those that name it, or one of its addresses.
	// +optional
	// +kubebuilder:default:=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// Never gives out IPv4 addresses that end in .0 or .255, which some old
	// equipment takes for a network's own or a broadcast address.
	// +optional
	// +kubebuilder:default:=false
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// Pins the pool to some namespaces and Services, and says how it ranks among
	// the pools pinned to the same ones.
	// +optional
	AllocateTo *ServiceAllocation `json:"serviceAllocation,omitempty"`
}

// ServiceAllocation pins a pool to Services.
type ServiceAllocation struct {
	// Rank among the pools that are pinned to a Service: the lowest number is
	// tried first; 0, which is none, last.
	// +optional
	Priority int `json:"priority,omitempty"`

	// Names of namespaces whose Services may use the pool.
	// +optional
	// +listType=set
	Namespaces []string `json:"namespaces,omitempty"`

	// Namespaces whose Services may use the pool, beside those that are named:
	// those that one of the selectors matches.
	// +optional
	NamespaceSelectors []metav1.LabelSelector `json:"namespaceSelectors,omitempty"`

	// Services of those namespaces that may use the pool: those that one of the
	// selectors matches. Every one where there is none.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// IPAddressPoolStatus counts the pool's addresses. A number that does not fit,
// as of a large IPv6 pool, stands at 9223372036854775807.
type IPAddressPoolStatus struct {
	// IPv4 addresses that Services have.
	AssignedIPv4 int64 `json:"assignedIPv4"`

	// IPv6 addresses that Services have.
	AssignedIPv6 int64 `json:"assignedIPv6"`

	// IPv4 addresses that are free.
	AvailableIPv4 int64 `json:"availableIPv4"`

	// IPv6 addresses that are free.
	AvailableIPv6 int64 `json:"availableIPv6"`
}

// IPAddressPool is a stock of addresses for Services of type LoadBalancer.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Auto Assign",type=boolean,JSONPath=`.spec.autoAssign`
// +kubebuilder:printcolumn:name="Avoid Buggy IPs",type=boolean,JSONPath=`.spec.avoidBuggyIPs`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
type IPAddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   IPAddressPoolSpec   `json:"spec"`
	Status IPAddressPoolStatus `json:"status,omitempty"`
}

// IPAddressPoolList is a list of IPAddressPools.
//
// +kubebuilder:object:root=true
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPAddressPool `json:"items"`
}
