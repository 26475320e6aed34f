package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// L2AdvertisementSpec says which addresses are announced on the local network, by
// ARP and NDP, and from where.
type L2AdvertisementSpec struct {
	// Names of the IPAddressPools whose addresses are announced. Where neither
	// names nor selectors are given, those of all pools are.
	// +optional
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPools whose addresses are announced, beside those that are named:
	// those that one of the selectors matches.
	// +optional
	IPAddressPoolSelectors []metav1.LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// Nodes that may announce: those that one of the selectors matches. Every node
	// where there is none.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Nodes that announce rather than others. The weights of all that match a node
	// add up, over all L2Advertisements of the address.
	// +optional
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// Names of the network interfaces that are answered on, exactly. Every one
	// where none is given.
	// +optional
	Interfaces []string `json:"interfaces,omitempty"`

	// Services whose addresses are announced: those that one of the selectors
	// matches. Every one where there is none.
	// +optional
	ServiceSelectors []metav1.LabelSelector `json:"serviceSelectors,omitempty"`
}

// PreferredNodeSelector gives nodes a weight.
type PreferredNodeSelector struct {
	// How much the nodes are preferred.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`

	// The nodes.
	Preference metav1.LabelSelector `json:"preference"`
}

// L2AdvertisementStatus is empty: ServiceL2Status tells what is announced.
type L2AdvertisementStatus struct{}

// L2Advertisement has addresses announced on the local network.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="IPAddressPools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="IPAddressPool Selectors",type=string,JSONPath=`.spec.ipAddressPoolSelectors`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`
// +kubebuilder:printcolumn:name="Node Selectors",type=string,JSONPath=`.spec.nodeSelectors`,priority=10
type L2Advertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   L2AdvertisementSpec   `json:"spec,omitempty"`
	Status L2AdvertisementStatus `json:"status,omitempty"`
}

// L2AdvertisementList is a list of L2Advertisements.
//
// +kubebuilder:object:root=true
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []L2Advertisement `json:"items"`
}
