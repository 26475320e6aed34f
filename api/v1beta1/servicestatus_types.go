package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Labels of ServiceL2Status and ServiceBGPStatus.
const (
	NodeLabel             = "metallb.io/node"
	ServiceNameLabel      = "metallb.io/service-name"
	ServiceNamespaceLabel = "metallb.io/service-namespace"
)

// ServiceL2StatusSpec is empty.
type ServiceL2StatusSpec struct{}

// ServiceL2StatusStatus is where a Service is announced on the local network.
type ServiceL2StatusStatus struct {
	// The node that announces.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="node cannot be changed"
	Node string `json:"node,omitempty"`

	// Name of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serviceName cannot be changed"
	ServiceName string `json:"serviceName,omitempty"`

	// Namespace of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serviceNamespace cannot be changed"
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// Interfaces that are answered on. Every one where there is none.
	// +optional
	Interfaces []InterfaceInfo `json:"interfaces,omitempty"`
}

// InterfaceInfo is a network interface.
type InterfaceInfo struct {
	// Name of the interface.
	// +optional
	Name string `json:"name,omitempty"`
}

// ServiceL2Status tells which node announces a Service on the local network.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=servicel2statuses,singular=servicel2status
// +kubebuilder:printcolumn:name="Allocated Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.status.serviceNamespace`
type ServiceL2Status struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ServiceL2StatusSpec   `json:"spec,omitempty"`
	Status ServiceL2StatusStatus `json:"status,omitempty"`
}

// ServiceL2StatusList is a list of ServiceL2Statuses.
//
// +kubebuilder:object:root=true
type ServiceL2StatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ServiceL2Status `json:"items"`
}

// ServiceBGPStatusSpec is empty.
type ServiceBGPStatusSpec struct{}

// ServiceBGPStatusStatus is to whom a node announces a Service over BGP.
type ServiceBGPStatusStatus struct {
	// The node that announces.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="node cannot be changed"
	Node string `json:"node,omitempty"`

	// Name of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serviceName cannot be changed"
	ServiceName string `json:"serviceName,omitempty"`

	// Namespace of the Service.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="serviceNamespace cannot be changed"
	ServiceNamespace string `json:"serviceNamespace,omitempty"`

	// Names of the BGPPeers that the Service is announced to.
	// +optional
	Peers []string `json:"peers,omitempty"`
}

// ServiceBGPStatus tells to which peers a node announces a Service.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:resource:path=servicebgpstatuses,singular=servicebgpstatus
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.node`
// +kubebuilder:printcolumn:name="Service Name",type=string,JSONPath=`.status.serviceName`
// +kubebuilder:printcolumn:name="Service Namespace",type=string,JSONPath=`.status.serviceNamespace`
type ServiceBGPStatus struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   ServiceBGPStatusSpec   `json:"spec,omitempty"`
	Status ServiceBGPStatusStatus `json:"status,omitempty"`
}

// ServiceBGPStatusList is a list of ServiceBGPStatuses.
//
// +kubebuilder:object:root=true
type ServiceBGPStatusList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ServiceBGPStatus `json:"items"`
}
