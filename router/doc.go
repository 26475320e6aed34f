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
// Where the session's end is a graceful restart, the paths stay in use, stale ("S"), until
// the neighbor is back and has sent its table, or its time is over (RFC 4724), and then
// perhaps as a last resort for longer (RFC 9494).
//
// Routes that an earlier run left in the kernel stay until every neighbor has sent
// its table, or sweepAfter at the latest; then what nobody announced is removed.
//
// When a neighbor is lost, that overtakes all UPDATEs that wait; the kernel is first told
// which next hops to avoid, in a message for each set of next hops, and only then is
// each prefix decided anew.
//
// Neighbors of a prefix are made by the engine, under names of their own; they have the
// prefix's settings and are known until some time after their session.
//
// Invariants: one goroutine changes the tables, under mu; the kernel is told what
// Decide said, in that order; a neighbor above its prefix limit is shut until it
// is cleared or configured anew.
//
// RFC 4271 §9, 4486 §4, 4724 §4, 7313 §4, 9494 §4. Start reading at Router.
package router
