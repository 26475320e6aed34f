// Package v1beta1 has the kinds of group metallb.io: what users configure, and
// what the speakers and the controller report. BGPPeer is here for clients that
// still ask for this version; it is stored as package v1beta2 has it.
//
// It decides nothing: what the fields mean together is for internal/crd, and who
// watches and writes the objects is internal/kube.
//
//	*_types.go ──controller-gen──► zz_generated.deepcopy.go
//	                           └─► deploy/crds/*.yaml
//
// Invariants: fields are named, and written, as MetalLB's users know them; what
// MetalLB accepts the schema accepts; what one object alone can tell to be wrong
// the schema refuses, in words that say what to write instead. Both versions of
// BGPPeer have one spec, so that nothing has to be converted and nothing is lost.
// Generated files are fresh: `make generate` makes them and a test compares. To
// what the generator knows of BGPPeer one thing is added: a webhook that MetalLB
// configured to convert it goes when the file is applied.
//
// Start reading at IPAddressPoolSpec.
//
// +kubebuilder:object:generate=true
// +groupName=metallb.io
package v1beta1

//go:generate go tool -modfile=../tools.mod controller-gen object crd paths=../... output:crd:dir=../../deploy/crds
//go:generate sed -i "s/^  group: metallb.io$/  conversion:\\n    strategy: None\\n    webhook: null\\n&/" ../../deploy/crds/metallb.io_bgppeers.yaml
