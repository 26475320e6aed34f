// Package v1beta2 has the version of group metallb.io that BGPPeer is stored in.
// All other kinds are of package v1beta1.
//
// It decides nothing: what the fields mean together is for internal/crd, and who
// watches them is internal/kube.
//
//	*_types.go ──controller-gen──► zz_generated.deepcopy.go
//	                           └─► deploy/crds/*.yaml
//
// Invariants: fields are named, and written, as MetalLB's users know them; what
// MetalLB accepts the schema accepts; what one object alone can tell to be wrong
// the schema refuses, in words that say what to write instead. Generated files
// are fresh: `make generate` makes them and a test compares.
//
// Start reading at BGPPeerSpec.
//
// +kubebuilder:object:generate=true
// +groupName=metallb.io
package v1beta2
