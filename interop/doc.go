// Package interop holds tests against other implementations: FRR, BIRD 2, OpenBGPD
// and GoBGP, the real daemons from the distribution's packages, in both directions.
//
// It has no code but tests. Everything runs in network namespaces of its own on one
// segment, with the walk-through's addresses:
//
//	node 1 10.10.2.112 ┐
//	node 2 10.10.2.113 ├─ segment 10.10.2.0/24, 2001:db8:2::/64 ─ 10.10.2.210 the daemon
//	…                  ┘                    │
//	                               what passes is recorded and decoded by tshark
//
// What counts is what the daemon's own commands and its kernel's routes say. One
// case, a story, is written against the interface daemon and told with all of them:
// each daemon is started once, with a neighbor for every story. A story that a daemon
// cannot tell says why in its row.
//
// # What the daemons do that we had to learn
//
//   - OpenBGPD takes the next hop of the family that is not the session's from the
//     loopback: ::1, which we treat as withdrawn, unless there is another address.
//     Killed alone, its parent's children say goodbye.
//   - GoBGP announces its session's address as the next hop of both families: IPv6
//     with a mapped IPv4 address, which we take, and IPv4 with an IPv6 address
//     although nobody agreed on that (RFC 8950), for which we end the session. It does
//     not pass on routes to a neighbor whose AS is in their path. It takes no
//     connection for seconds after a refused one, and for 30 s after a reset.
//   - FRR's bgpd 8.4 may die when a route-map in use is deleted and made again.
//   - BIRD leaves out the MED of static routes unless its export filter sets it.
//   - tshark 4.0 does not decode extended messages (RFC 8654).
//
// Start reading at story_test.go, then stories_test.go.
package interop
