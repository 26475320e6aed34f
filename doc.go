// Package pharos holds the nouns of the load balancer: what a cluster and its
// operator want, as plain values that no client, kernel or clock stands behind.
//
// It decides nothing: allocation is package ipam, announcement package speaker,
// the data plane package dataplane. It imports the standard library and why.
//
//	Kubernetes API ─┐
//	directory       ├─► Snapshot{Config, Nodes, Services, Endpoints} ─► controller, speaker, proxy
//	a test's literal┘        immutable; the next one shares what did not change
//
// Invariants: a Snapshot and all that it reaches is never changed after it was
// handed over; two Snapshots share every part that is equal, so that Diff costs
// what changed and not what is there.
//
// Start reading at Snapshot.
package pharos
