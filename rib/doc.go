// Package rib keeps the routes learned from BGP neighbors, one table for each
// address family, and decides which paths are used: best path and multipath as
// NX-OS does, each verdict with its reason.
//
// It speaks no BGP, knows no kernel and no clock, starts nothing and locks
// nothing: its owner tells it what happened and when, and takes the changes.
//
//	UPDATE ──► Update ─┐                              ┌─► Lookup, Entries: every
//	session ─► Up Down │  prefix ─► paths of all      │   path with its Verdict
//	End-of-RIB ► Purge ├─►          neighbors ─► dirty ┤
//	links ───► Resolve │                              └─► Decide: []Route, the
//	config ──► SetPolicy                                  hop sets that changed
//
//	a path:  ──announced──► live ──withdrawn──► (gone)
//	                        │  ▲
//	           session down │  │ announced again
//	                        ▼  │
//	                      deleted ("x") ──Purge──► (gone)
//
// Decision (RFC 4271 §9.1.2.2 in NX-OS's order): usable, weight, LOCAL_PREF,
// locally originated, AS_PATH length, ORIGIN, MED among paths of one neighbor AS,
// external before internal, metric to the next hop; then, among external paths,
// the oldest; then router ID, CLUSTER_LIST length, peer address.
//
// Invariants: the outcome depends on the paths and their ages alone, not on the
// order of the calls that brought them; a path whose next hop is not on a
// connected network is never used; Decide costs what changed, not what is there;
// a neighbor never holds more paths than its limit.
//
// Start reading at Decide, then Table.
package rib
