// Package radv finds the neighbor at the other end of a link by IPv6 router
// advertisements, so that BGP needs no addresses to be configured (unnumbered
// peering).
//
// It speaks no BGP and makes nobody a default router: its advertisements have a
// Router Lifetime of 0. It sets no sysctls; what the kernel makes of the neighbor's
// advertisements (accept_ra) is not its matter. A link is taken to have one
// neighbor; where several routers advertise, the first heard stays until it is
// silent.
//
//	Set(interfaces) ─▶ Finder ── netlink: link, address changed ─▶ look: up? own address?
//	                     │
//	                     ├─▶ machine, one a link that is up: Step and Deadline, pure
//	                     │      ▲ advertised, solicited      │ advertise, solicit
//	                     │      └────── socket: ICMPv6 ◀─────┘
//	                     └─▶ Neighbors(), Changed()
//
//	down ─ up ─▶ unknown: solicit ─ advertisement ─▶ known ─ silent for Lifetime ─▶ unknown
//
// Invariants: a message counts only if its hop limit is 255 and its source is
// link-local, so it comes from the link itself; a link costs bounded memory and
// answers a bounded number of messages a second, whatever arrives; a link that goes
// down has no neighbor.
//
// RFC 4861 §4.1, §4.2, §6 (router discovery). Start reading at machine.step, then
// Finder.Run.
package radv
