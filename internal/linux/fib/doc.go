// Package fib puts routes into the kernel's forwarding table: each a prefix with
// a set of next hops (ECMP), moved by the set where a whole set moves.
//
// It decides nothing: package rib says which next hops a prefix has.
//
//	prefixes          one group per set of next hops      one object per next hop
//	172.19.100.1/32 ─┐
//	172.19.100.2/32 ─┼─► group {.112 .113 .114} ─┬─► nexthop via 10.10.2.112 dev Ethernet1-1
//	    …           ─┘                           ├─► nexthop via 10.10.2.113 dev Ethernet1-1
//	172.19.101.0/24 ───► group {.113} ───────────┴─► …
//
// A neighbor's loss with 10,000 routes is one message: its group is replaced
// where it stands, by Avoid before anything is decided about them; and if they had no
// other neighbor, the kernel removes them together with their group. Messages go to the
// kernel in batches, with one acknowledgement a batch; what the kernel refuses is
// reported, and Verify compares a dump of the table with what should be there and mends
// it.
//
// Groups are of one of two kinds (Resilient). Members have weights. A next hop of IPv6
// serves routes of both families (RFC 8950).
//
// Everything is marked with Protocol. Routes of an earlier run are adopted: they
// stay until they are asked for again or Sweep removes them. Routes, groups and
// next hops of others are never touched, and those of others for the same prefix
// win: ours carry the metric Metric.
//
// The kernel skips a member of a group whose neighbor entry has failed, whatever
// net.ipv4.fib_multipath_use_neigh says, because the groups are next-hop objects;
// Tune sets it all the same, for routes that are not ours. It needs Linux 5.3,
// and for resilient groups 5.13.
//
// Kernel pages: rtnetlink(7), netlink(7), ip-nexthop(8), ip-route(8),
// Documentation/networking/ip-sysctl.rst and nexthop-group-resilient.rst. Start reading at FIB, then model.
package fib
