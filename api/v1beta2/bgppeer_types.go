package v1beta2

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BGPPeerSpec says where a BGP router is and how to hold a session with it.
//
// +kubebuilder:validation:XValidation:rule="(has(self.peerASN) && self.peerASN != 0) != (has(self.dynamicASN) && size(self.dynamicASN) > 0)",message="give exactly one of peerASN and dynamicASN"
// +kubebuilder:validation:XValidation:rule="(has(self.peerAddress) && size(self.peerAddress) > 0) != (has(self.interface) && size(self.interface) > 0)",message="give exactly one of peerAddress and interface"
// +kubebuilder:validation:XValidation:rule="!has(self.password) || size(self.password) == 0 || !has(self.passwordSecret) || !has(self.passwordSecret.name) || size(self.passwordSecret.name) == 0",message="give at most one of password and passwordSecret"
// +kubebuilder:validation:XValidation:rule="!has(self.keepaliveTime) || !has(self.holdTime) || duration(self.keepaliveTime) <= duration(self.holdTime)",message="keepaliveTime must not be more than holdTime; a third of it is usual"
// +kubebuilder:validation:XValidation:rule="!has(self.ebgpMultiHop) || !self.ebgpMultiHop || !(has(self.dynamicASN) && self.dynamicASN == 'internal' || has(self.peerASN) && self.peerASN == self.myASN)",message="ebgpMultiHop makes no sense for an iBGP peer: leave it out, or correct the autonomous systems"
// +kubebuilder:validation:XValidation:rule="!has(self.sourceAddress) || !has(self.peerAddress) || !isIP(self.sourceAddress) || !isIP(self.peerAddress) || ip(self.sourceAddress).family() == ip(self.peerAddress).family()",message="sourceAddress and peerAddress must be of one family"
type BGPPeerSpec struct {
	// Autonomous system of our end of the session.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	MyASN uint32 `json:"myASN"`

	// Autonomous system that the router is in. Exclusive with dynamicASN.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	ASN uint32 `json:"peerASN,omitempty"`

	// Admits the router with whatever autonomous system it states: "internal" if
	// that is myASN, "external" if it is any other. Exclusive with peerASN.
	// +optional
	// +kubebuilder:validation:Enum=internal;external
	DynamicASN DynamicASNMode `json:"dynamicASN,omitempty"`

	// Autonomous system that this router knows us by, in place of myASN; myASN
	// does not appear in the paths it receives.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	// +kubebuilder:validation:Format=int64
	LocalASN uint32 `json:"localASN,omitempty"`

	// IP address of the router. Exclusive with interface.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || isIP(self) || self.matches('^::[fF]{4}:[0-9.]+$')",message="must be an IP address, such as 192.0.2.1 or 2001:db8::1; host names are not accepted"
	Address string `json:"peerAddress,omitempty"`

	// Network interface of the node whose only neighbour is the router, which is
	// found by its router advertisements ("unnumbered"). Exclusive with
	// peerAddress.
	// +optional
	Interface string `json:"interface,omitempty"`

	// IP address that the session is held from. The kernel chooses where it is
	// not given.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || isIP(self) || self.matches('^::[fF]{4}:[0-9.]+$')",message="must be an IP address of the node, such as 192.0.2.1 or 2001:db8::1"
	SrcAddress string `json:"sourceAddress,omitempty"`

	// TCP port that the router listens on; 0 is 179, too.
	// +optional
	// +kubebuilder:default:=179
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=16384
	Port uint16 `json:"peerPort,omitempty"`

	// Hold time that we propose, such as 90s (RFC 4271, section 4.2): 0s, for no
	// supervision at all, or 3s and more. Parts of a second are cut off.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self).getSeconds() == 0 || duration(self).getSeconds() >= 3",message="must be 0s, or 3s and more"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self).getSeconds() <= 65535",message="must be within 0s and 65535s"
	HoldTime *metav1.Duration `json:"holdTime,omitempty"`

	// Pause between two KEEPALIVE messages, such as 30s. A third of the hold time
	// where it is not given; given alone, it makes the hold time three times as long.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s') && duration(self).getSeconds() <= 65535",message="must be within 0s and 65535s"
	KeepaliveTime *metav1.Duration `json:"keepaliveTime,omitempty"`

	// Longest pause between two attempts to connect, in whole seconds from 1s to
	// 65535s.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="duration(self).getSeconds() >= 1 && duration(self).getSeconds() <= 65535",message="must be within 1s and 65535s"
	// +kubebuilder:validation:XValidation:rule="duration(self).getMilliseconds() % 1000 == 0",message="must be whole seconds"
	ConnectTime *metav1.Duration `json:"connectTime,omitempty"`

	// BGP identifier of our end, written as an IPv4 address. One of the node's
	// addresses where it is not given.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:XValidation:rule="size(self) == 0 || isIP(self) && ip(self).family() == 4 || self.matches('^::[fF]{4}:[0-9.]+$')",message="must be written as an IPv4 address, such as 192.0.2.1"
	RouterID string `json:"routerID,omitempty"`

	// Nodes that hold a session with the router: those that one of the selectors
	// matches. Every node where there is none.
	// +optional
	NodeSelectors []metav1.LabelSelector `json:"nodeSelectors,omitempty"`

	// Password of the session (TCP MD5 signatures, RFC 2385). Whoever may read
	// this object reads it: passwordSecret is better. Exclusive with passwordSecret.
	// +optional
	Password string `json:"password,omitempty"`

	// Secret with the password of the session under the key "password". It is of
	// type kubernetes.io/basic-auth and in the namespace of this object. As long as
	// it is missing there is no session.
	// +optional
	PasswordSecret corev1.SecretReference `json:"passwordSecret,omitzero"`

	// Name of the BFDProfile with which the path to the router is supervised. No
	// BFD where it is not given.
	// +optional
	BFDProfile string `json:"bfdProfile,omitempty"`

	// Offers graceful restart to the router (RFC 4724), which then keeps our
	// routes while a speaker restarts. It cannot be changed later.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="enableGracefulRestart cannot be changed: delete the object and create it anew"
	EnableGracefulRestart bool `json:"enableGracefulRestart,omitempty"`

	// The router may be several hops away. Only for eBGP.
	// +optional
	EBGPMultiHop bool `json:"ebgpMultiHop,omitempty"`

	// VRF of the node that the session runs in. The default one where it is not
	// given.
	// +optional
	VRFName string `json:"vrf,omitempty"`

	// Without effect, and deprecated: a session carries the family of its own
	// address; dualStackAddressFamily makes it carry both.
	// +optional
	// +kubebuilder:default:=false
	DisableMP bool `json:"disableMP,omitempty"`

	// Carries IPv4 and IPv6 over the one session.
	// +optional
	// +kubebuilder:default:=false
	DualStackAddressFamily bool `json:"dualStackAddressFamily,omitempty"`
}

// DynamicASNMode is which autonomous systems a peer may state.
type DynamicASNMode string

// The modes of dynamicASN.
const (
	InternalASNMode DynamicASNMode = "internal"
	ExternalASNMode DynamicASNMode = "external"
)

// BGPPeerStatus is empty: sessions are told by BGPSessionState.
type BGPPeerStatus struct{}

// BGPPeer is a BGP router that the addresses of Services are announced to.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Address",type=string,JSONPath=`.spec.peerAddress`
// +kubebuilder:printcolumn:name="ASN",type=string,JSONPath=`.spec.peerASN`
// +kubebuilder:printcolumn:name="BFD Profile",type=string,JSONPath=`.spec.bfdProfile`
// +kubebuilder:printcolumn:name="Multi Hops",type=string,JSONPath=`.spec.ebgpMultiHop`
type BGPPeer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BGPPeerSpec   `json:"spec"`
	Status BGPPeerStatus `json:"status,omitempty"`
}

// BGPPeerList is a list of BGPPeers.
//
// +kubebuilder:object:root=true
type BGPPeerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPPeer `json:"items"`
}
