// Package controller gives the cluster's Services their addresses: it follows the
// Snapshots, has package ipam decide, and writes the outcome into statuses.
//
// It knows no client and no object type: Source, Writer and Recorder are
// interfaces. It announces nothing; that is package speaker, on every node.
//
//	Source ──Snapshot──► core.reconcile ──► queue ──► WriteStatus, some at a time
//	                      │   ▲    (pure)     ▲            │
//	                      │   └──core.done────┼────────────┘
//	                      │                   └── back-off ◄─ what failed
//	                      └──► Recorder: events
//
// Which configuration is in force is for pharos.Gate to say, here as in a speaker.
// A ConfigMap that takes addresses away is refused until they are given back, the
// first one after a start too: what an earlier run gave out is in the statuses,
// with its pool beside it. With resources the Services concerned get others:
// ClearAssignment, then IPAllocated. No pools at all take nothing away, be it at a
// start: a list without a pool is what a mistake looks like, and who means it
// deletes the Services.
//
// Events are named as MetalLB names them, and told once for each new reason, not
// with every look at the Service. IPAllocated and ClearAssignment follow the write
// that they tell of. AllocationFailed: there is no address as the Service asks.
// AdditionalAssignFailed: it has one family and lacks the other.
// LoadBalancerFailed: annotations and fields contradict each other; what it has
// stays. "not enough clusterips" and noclusterIPsIPFamily: its cluster IPs don't
// tell what it needs. nolbIPsIPFamily: its status has two addresses of a family;
// MetalLB leaves it there, we keep the first. InternalError has no case.
//
// Invariants: nothing is decided before the Snapshot is Synced and a
// configuration is in force; the work follows what changed, and only Services
// that wait are asked again when an address is freed or has cooled down; there is one write under
// way for a Service at most, and none on top of what it already said; a Service
// of another load balancer class is never touched.
//
// Start reading at core.reconcile.
package controller
