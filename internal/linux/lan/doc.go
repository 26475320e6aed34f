// Package lan announces addresses on a host's Ethernet links by ARP and Neighbor
// Discovery: it is layer2.Announcer on Linux.
//
// It decides nothing that layer2.Responder can decide, writes no frame's octets (packages
// arp and ndp), and configures no address, route or sysctl: the addresses need not be the
// host's own, and what the kernel itself answers is not its matter.
//
//	Set ──▶ Server ── one goroutine ─┬─▶ kernel: links, addresses, connected routes
//	Status ◀──┘          ▲           │      ▲ looked at when an event says they changed
//	                     │           ▼      └─── watch: rtnetlink's groups
//	        conflicts, failures   layer2.Responder (under a mutex) ◀─────────────┐
//	                     │           │ Announce, Probe; Start, Stop: groups      │ Asked, Claimed
//	                     │           ▼                                           │
//	                     │     port, one a usable link                           │
//	                     │       ├─ ARP: packet socket ◀──▶ frames ── a goroutine ┤
//	                     └───────├─ NDP: packet socket ◀──▶ frames ── a goroutine ┘
//	                             └─ sockets that are in the solicited-node groups
//
// Packet sockets carry Neighbor Discovery too, not ICMPv6 sockets: the answer to a
// question goes to the station that asked, whatever the kernel's neighbor cache and
// routes say of it, and no packet filter of the host's is in between. A socket is there
// only while an address of its family is announced, and lets nothing past the kernel but
// what finds addresses; to other packets it costs a few instructions.
//
// # Links
//
// A link counts if it is Ethernet, up, has carrier, can broadcast, has ARP, is no port of
// a bond or bridge, and has a name that is not excluded; for IPv6, if it has a link-local
// address that is no longer tentative. Its subnets are its connected routes in the main
// table, of whatever origin. Which ones changed is looked up after an event, so that lost
// events do no harm; that a link lost its carrier between two looks is told by the
// kernel's counter.
//
// Invariants: Set and Status never wait for the network, however much arrives; sending
// never waits, as whoever asked asks again; a link costs two goroutines and bounded
// memory; what was opened is closed when Run returns.
//
// Kernel pages: packet(7), rtnetlink(7), ipv6(7). Start reading at Server.Run, then
// Server.reconcile.
package lan
