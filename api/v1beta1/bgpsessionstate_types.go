package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BGPSessionStateStatus is the state of a node's session with a peer.
type BGPSessionStateStatus struct {
	// State of the BGP session, such as Established (RFC 4271, section 8.2.2).
	// +optional
	BGPStatus string `json:"bgpStatus,omitempty"`

	// State of the BFD session, such as Up (RFC 5880, section 4.1), or N/A where
	// there is none.
	// +optional
	BFDStatus string `json:"bfdStatus,omitempty"`

	// The node.
	// +optional
	Node string `json:"node,omitempty"`

	// The peer's address, or the interface it is found on.
	// +optional
	Peer string `json:"peer,omitempty"`

	// The VRF of the node that the session runs in. Empty: the default one.
	// +optional
	VRF string `json:"vrf,omitempty"`
}

// BGPSessionState tells how a node's session with a peer is.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Peer",type=string,JSONPath=`.status.peer`
// +kubebuilder:printcolumn:name="VRF",type=string,JSONPath=`.status.vrf`
// +kubebuilder:printcolumn:name="BGP",type=string,JSONPath=`.status.bgpStatus`
// +kubebuilder:printcolumn:name="BFD",type=string,JSONPath=`.status.bfdStatus`
type BGPSessionState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Status BGPSessionStateStatus `json:"status,omitempty"`
}

// BGPSessionStateList is a list of BGPSessionStates.
//
// +kubebuilder:object:root=true
type BGPSessionStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPSessionState `json:"items"`
}
