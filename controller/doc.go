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
// The configuration in force is the newest that takes no address away from a
// Service; one that would is refused, and tried again when addresses are given
// back. The same holds for the first one after a start: what an earlier run gave
// out is in the statuses, with its pool beside it.
//
// Invariants: nothing is decided before the Snapshot is Synced and a
// configuration is in force; the work follows what changed, and only Services
// that wait are asked again when an address is freed; there is one write under
// way for a Service at most, and none on top of what it already said; a Service
// of another load balancer class is never touched.
//
// Start reading at core.reconcile.
package controller
