// Package ebpf carries frontends of mode direct by BPF programs at the uplinks, and
// everything else by package nft. It implements dataplane.Driver and dataplane.Meter.
//
// It decides nothing about Services, package dataplane does; it has no programs at
// pods' devices, and none of other data planes' is touched.
//
//	client's packet
//	   │
//	uplink, ingress                                                      another node
//	   │ frontends: address . port . protocol → slots and owners             ▲
//	   │    none: to the stack, to nftables                                  │ unchanged: by next hop on
//	   ▼                                                                     │ one segment, else in IP (RFC 2003, 2473)
//	known, fresh: is it one of our pods'?                                    │
//	   │ no ──► table.Hash: slot ──► current owner ── elsewhere ─────────────┤
//	   │                                   │ here, and no SYN ── previous ───┘ marked, once
//	   │                                   │                       owner     └► or a reset
//	   │ yes                               │ here: remember both ways
//	   └───────────────┬───────────────────┘
//	                   ▼ pod's address and port instead of the frontend's
//	                 the stack: routes, tracks, delivers
//	pod's answer ──► the stack ──► uplink, egress: known, fresh: the frontend's address again ──► client
//
// Connection tracking sees translated packets only, client to pod and back, each connection from its
// SYN on: so it holds with nf_conntrack_tcp_loose=0 as well, and rules that masquerade for
// pods don't apply to answers. What bpf_redirect_peer would gain by leaving the stack
// out would cost just that, so that it isn't used.
//
// A frontend's element is its whole table, 4 KiB: an update puts another element in its
// place, which packets see at once. (Maps in maps do that too, but the kernel makes the
// writer wait for a grace period each time, 5 to 25 ms.) The memory of the old one may
// be given to another at once, and so readers ask twice whether it still is the frontend's.
//
// A connection is an entry for either direction, in the LRU map fresh until client and pod have
// both been heard, the client by what only the one who got the answer can
// acknowledge; then in known, until both have closed. Floods of first packets
// put out one another alone, and what comes and goes puts out none that stays.
//
// Who sent a packet on is known by its link address, or by the tunnel that it came in:
// such a packet goes to another node only with the mark, and a marked one to none. So no tables,
// whatever they are, make it more than two. What is sent on by a next hop loses one of its time to live.
//
// Not carried, but left to package nft: SCTP, direct there, for its checksum can't be
// brought up to date (RFC 9260, appendix A); Services with endpoints of no known
// node, in mode nat. ICMP errors go where the connection is that they quote.
// Fragments follow the first one of their datagram; one that overtakes it is left to
// the stack. What doesn't fit a tunnel is answered with what does, as by a router, and
// never fragmented, not even IPv4 without DF: where tunnels are, segments had better
// have room for 20 octets more (IPv6: 40). The MSS of TCP is lowered to fit.
//
// Invariants: an Apply that fails leaves all maps as they were. Maps and attachments
// outlive the process, and its successor takes over what it finds: where nothing
// changed it writes nothing. The C in bpf/ is offered under the GPL too, as the
// kernel's helpers want it; make generate-ebpf builds it, and direct_bpfel.o is what came of it.
//
// Kernel: 5.15 and later, little-endian; TCX from 6.6 on, filters of a clsact qdisc before. Pages:
// bpf(2), bpf-helpers(7), tc-bpf(8). Start reading at Driver, then bpf/direct.c.
package ebpf
