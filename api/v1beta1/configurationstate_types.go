package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Labels of a ConfigurationState.
const (
	// ComponentTypeLabel is controller or speaker.
	ComponentTypeLabel = "metallb.io/component-type"

	// NodeNameLabel is the speaker's node.
	NodeNameLabel = "metallb.io/node-name"
)

// Condition types of a ConfigurationState.
const (
	ConfigReconcilerValid = "configReconcilerValid" // the configuration as a whole
	PoolReconcilerValid   = "poolReconcilerValid"   // the pools, as the controller reads them
)

// Condition reasons of a ConfigurationState.
const (
	ReasonReconciled         = "Reconciled"         // in force
	ReasonConfigurationError = "ConfigurationError" // an object is wrong
	ReasonInfraError         = "InfraError"         // something is missing, and is waited for
	ReasonUnknownError       = "UnknownError"       // anything else
)

// ConfigurationResult says whether the configuration is in force.
type ConfigurationResult string

// The results of a ConfigurationState.
const (
	ConfigurationValid   ConfigurationResult = "Valid"
	ConfigurationInvalid ConfigurationResult = "Invalid"
	ConfigurationUnknown ConfigurationResult = "Unknown"
)

// ConfigurationStateStatus is what a controller or speaker makes of the
// configuration.
type ConfigurationStateStatus struct {
	// Whether all of the configuration is in force as it is written.
	// +optional
	// +kubebuilder:validation:Enum=Valid;Invalid;Unknown
	Result ConfigurationResult `json:"result,omitempty"`

	// What is not in force, and why: the first problem, and how many more the conditions tell of.
	// +optional
	ErrorSummary string `json:"errorSummary,omitempty"`

	// The parts of the verdict.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ConfigurationState tells what one controller or speaker makes of the
// configuration.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
// +kubebuilder:printcolumn:name="Result",type=string,JSONPath=`.status.result`
// +kubebuilder:printcolumn:name="Error Summary",type=string,JSONPath=`.status.errorSummary`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type ConfigurationState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Status ConfigurationStateStatus `json:"status,omitempty"`
}

// ConfigurationStateList is a list of ConfigurationStates.
//
// +kubebuilder:object:root=true
type ConfigurationStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ConfigurationState `json:"items"`
}
