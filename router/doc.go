// Package router is the layer-3 switch's role: it hears BGP neighbors, decides
// which of their routes are used, and has the kernel forward by them.
//
// It originates and passes on nothing: neighbors are sent no routes. It knows no
// configuration syntax (internal/nxos) and no netlink (internal/linux).
//
//	bgp.Server ──Handler──► queue ──► rib.Table IPv4, IPv6 ──Decide──► FIB
//	                                       ▲            │
//	links: connected networks ── Resolve ──┘            └──► Status, Entries
//	configuration: Set ──► policies, neighbors
//
// What arrives while the kernel is busy is decided together: a burst of UPDATEs
// costs few batches, and a single route is not kept waiting by any timer.
//
//	a neighbor's paths:  in use ──session down──► deleted ("x")
//	                       ▲                        │ End-of-RIB of the next
//	                       └────announced again─────┤ session, or keepDeleted
//	                                                ▼
//	                                              gone
//
// Routes that an earlier run left in the kernel stay until every neighbor has sent
// its table, or sweepAfter at the latest; then what nobody announced is removed.
//
// Invariants: one goroutine changes the tables, under mu; the kernel is told what
// Decide said, in that order; a neighbor above its prefix limit is shut until it
// is cleared or configured anew.
//
// RFC 4271 §9, RFC 4724 §2. Start reading at Router.
package router
