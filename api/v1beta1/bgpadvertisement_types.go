package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPAdvertisementSpec says which addresses are announced over BGP, to whom and
// with which attributes.
//
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelectors) || size(self.serviceSelectors) == 0 || (!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128)",message="serviceSelectors only go with aggregationLength 32 and aggregationLengthV6 128: an aggregate would announce other Services' addresses too"
type BGPAdvertisementSpec struct {
	// Length of the IPv4 prefixes that are announced; 32 is a route for each
	// address. It must not be shorter than the prefixes that the pools are made of.
	// +optional
	// +kubebuilder:default:=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// Length of the IPv6 prefixes that are announced; 128 is a route for each
	// address. It must not be shorter than the prefixes that the pools are made of.
	// +optional
	// +kubebuilder:default:=128
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LOCAL_PREF of the routes, which iBGP peers alone receive (RFC 4271, section
	// 5.1.5); the highest is preferred. 0 leaves it at 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	LocalPref uint32 `json:"localPref,omitempty"`

	// Communities of the routes: 65535:65282, large:64500:1:2, or the alias of one
	// that a Community object names.
	// +optional
	// +listType=set
	Communities []string `json:"communities,omitempty"`

	// Names of the IPAddressPools whose addresses are announced. Where neither
	// names nor selectors are given, those of all pools are.
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPools whose addresses are announced, beside those that are named:
	// those that one of the selectors matches.
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// Nodes that announce: those that one of the selectors matches. Every node
	// where there is none.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Names of the BGPPeers that the addresses are announced to. Every one where
	// none is given.
	// +optional
	Peers []string `json:"peers,omitempty"`

	// Services whose addresses are announced: those that one of the selectors
	// matches. Every one where there is none.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// BGPAdvertisementStatus is empty: ServiceBGPStatus tells what is announced.
type BGPAdvertisementStatus struct{}

// BGPAdvertisement has addresses announced over BGP.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,JSONPath=`.spec.nodeSelectors`,priority=10
type BGPAdvertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BGPAdvertisementSpec   `json:"spec,omitempty"`
	Status BGPAdvertisementStatus `json:"status,omitempty"`
}

// BGPAdvertisementList is a list of BGPAdvertisements.
//
// +kubebuilder:object:root=true
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPAdvertisement `json:"items"`
}
