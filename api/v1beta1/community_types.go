package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CommunitySpec names communities.
type CommunitySpec struct {
	// The communities and their names.
	// +optional
	// +kubebuilder:validation:MaxItems=4096
	Communities []CommunityAlias `json:"communities,omitempty"`
}

// CommunityAlias is a name for a BGP community.
type CommunityAlias struct {
	// Name that BGPAdvertisements refer to. No other alias may have it.
	// +optional
	Name string `json:"name,omitempty"`

	// The community: two numbers up to 65535, such as 65535:65282 (RFC 1997), or
	// three up to 4294967295, such as large:64500:1:2 (RFC 8092).
	// +optional
	// +kubebuilder:validation:MaxLength=48
	// +kubebuilder:validation:XValidation:rule="self.matches('^(0*[0-9]{1,5}:0*[0-9]{1,5}|large:0*[0-9]{1,10}:0*[0-9]{1,10}:0*[0-9]{1,10})$') && self.split(':').all(n, n == 'large' || int(n) <= (self.startsWith('large') ? 4294967295 : 65535))",message="must be two numbers up to 65535, such as 65535:65282, or three up to 4294967295, such as large:64500:1:2"
	Value string `json:"value,omitempty"`
}

// CommunityStatus is empty.
type CommunityStatus struct{}

// Community names BGP communities, so that BGPAdvertisements can be read.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
type Community struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   CommunitySpec   `json:"spec,omitempty"`
	Status CommunityStatus `json:"status,omitempty"`
}

// CommunityList is a list of Communities.
//
// +kubebuilder:object:root=true
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Community `json:"items"`
}
