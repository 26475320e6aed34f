// Package cluster runs the real Kubernetes control plane, from the program
// pharos-controlplane, as child processes: for the lab, inside a network
// namespace at an address of its own; for any test, on loopback with free ports.
//
// It registers no node and runs no pod: package kubelet does. It keeps nothing
// beyond its directory; a cluster is thrown away, not upgraded.
//
//	         Options.NS or loopback
//	┌────────────────────────────────────────────────┐
//	│ etcd ◄── kube-apiserver ◄─┬─ controller-manager │   Dir/pki   CA, certificates, keys
//	│ (loopback, no fsync)      └─ scheduler          │   Dir/etc   kubeconfigs, audit policy
//	└──────────────▲─────────────────────────────────┘   Dir/log   one file per component
//	               │ TLS, both sides verified             Dir/etcd  data
//	     admin, kubectl, nodes' kubelets
//
// Invariants: every connection to the API server verifies its certificate
// against the cluster's own CA, and every component has an identity of its own;
// no component outlives the program that started it; a component that ends by
// itself is reported once, with its last log lines.
//
// Start reading at Start.
package cluster
