// Package rib keeps the routes learned from BGP neighbors, one table for each
// address family, and decides which paths are used: best path and multipath as
// NX-OS does, each verdict with its reason.
//
// It speaks no BGP, knows no kernel and no clock, starts nothing and locks
// nothing: its owner tells it what happened and when, and takes the changes.
//
//	UPDATE ──► Update ─┐                              ┌─► Lookup, Entries: every
//	session ─► Up Down │  prefix ─► paths of all      │   path with its Verdict
//	  restart: Retain  ├─►          neighbors ─► dirty ┤
//	  End-of-RIB Purge │                              └─► Decide: []Route, the
//	links ───► Resolve │                                  hop sets that changed
//	config ──► SetPolicy
//
//	a path:  ──announced──► live ──withdrawn──► (gone)
//	                        │  ▲
//	           session down │  │ announced again
//	                        ▼  │
//	                      deleted ("x") ──Purge──► (gone)
//
//	and where the neighbor restarts gracefully:
//
//	         live ──Retain──► stale ("S") ──LongLive──► long-lived stale ──► …
//	                            │ used as before          │ used if nothing else is
//	                            └──── Purge: gone; Down: deleted ────┘
//
// Decision (RFC 4271 §9.1.2.2 in NX-OS's order): usable, not long-lived stale, weight,
// LOCAL_PREF, locally originated, AS_PATH length, ORIGIN, MED among paths of one
// neighbor AS, external before internal, metric to the next hop; then, among external
// paths, the oldest; then router ID, CLUSTER_LIST length, peer address, path
// identifier.
//
// A table of 100,000 routes is a few thousand objects: entries and paths are numbered
// and refer to each other by number (package compact), attributes and next hops are
// kept once, and prefixes that have the same ways are decided once.
//
// Invariants: the outcome depends on the paths and their ages alone, not on the
// order of the calls that brought them; a path whose next hop is not on a
// connected network is never used; Decide costs what changed, not what is there;
// a neighbor never holds more live paths than its limit, no more than twice as
// many from sessions that are over, and no more octets of attributes than go with it.
//
// RFC 4271 §9, 4724 §4, 7313 §4, 7911 §3, 8326, 8950, 9234 §5, 9494 §4. Start reading at
// Decide, then Table.
package rib
