// Package speaker is the role of one node: it decides which Services' addresses
// the node announces, to which BGP peers and with which attributes, and keeps
// the BGP engine and the layer 2 announcer at that.
//
// It speaks no BGP itself (package bgp), sends no ARP (package layer2), allocates
// nothing (controller) and carries no packet (proxy). It knows no Kubernetes: it is
// handed Snapshots.
//
//	Snapshot ──► gate: may the new configuration come into force?
//	   │             │ Config
//	   │ Nodes ──────┤
//	   │             ▼
//	   │           View: what the configuration means on each node
//	   │             │    sessions ─────────────────────────────► SetPeers ─┐
//	   │             ▼                                                       ├─► bgp.Server
//	   └ Diff ──► Plan(Service, Endpoints, ──► table: prefix → claims ─► Apply ─┘
//	 DataPlane ──►        Kernel)
//	                 │ Reason, Nodes
//	                 ├──► Status, explain, nodeAssigned event
//	                 └──► answers: own and handed over addresses ──► Set ──► layer2.Announcer
//	                         ▲                                                │ links, claims of others
//	Membership: who is alive ┴─ crowd: who may win an election ◄──────────────┘
//
// On layer 2 one node announces an address (package election). What a member's death
// concerns is what that member announced; the rest is not looked at. Whoever loses an
// address to a node that is alive answers until that node is heard to.
//
// Invariants: View and Plan are pure, and equal for equal input on every node;
// the table after any sequence of changes is the one that the last Snapshot
// gives from scratch; a prefix stays as long as one Service claims it; nothing
// is announced or withdrawn before the cluster is known in full, nor because
// the API server or the proxy is gone; where a DataPlane gates, an announcement
// begins once the kernel holds what it was planned of; the cost of a change does
// not depend on how many Services there are.
//
// What is about to be withdrawn is marked as the last resort first: of an endpoint, a
// node (drain) or the speaker itself (leave). RFC 8326.
//
// RFC 4271 §5.1.5 (LOCAL_PREF), §9.2.2.2 (aggregation), RFC 1997 (communities).
// Start reading at View.PlanWith and View.choose, then Speaker.Reconcile.
package speaker
