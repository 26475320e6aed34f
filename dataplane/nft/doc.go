// Package nft programs the data plane with nftables over netlink. It implements
// dataplane.Driver.
//
// It decides nothing about Services, package dataplane does, and never touches
// a table that isn't its own.
//
// Two tables, ip pharos and ip6 pharos, carry all but direct frontends. They have the same chains. Their rules name no
// Service: whatever a Service is, is in sets and maps. So one endpoint more or
// less is a few elements in the kernel, with one Service present or ten thousand:
//
//	refuse-prerouting, refuse-output          serve-prerouting, serve-output
//	   │ frontends-rejected: reset              │ is address . protocol . port
//	   │ frontends-dropped: nothing             │ in frontends?
//	   │ guarded: is the client in allowed?     ▼
//	   ▼                                      pick-frontends
//	packets of known connections and            │ in frontends-of-3? then slot = random of 3
//	to other addresses pass untouched           ▼
//	                                          map frontends-backends: target . slot
//	source-postrouting                          │
//	   in frontends-masqueraded …? masquerade   ▼
//	                                          dnat to address . port
//
// The same exists for node ports, keyed by protocol . port, and once more for
// packets from inside (this node and its pods) where they have other backends.
// A rule for a number of backends is made when the first frontend has that many.
// Backends keep their slots; the last one moves into a gap. No verdict depends on
// a Service, because the kernel walks all verdicts of a table to find loops
// whenever one changes; only session affinity, which few Services have, gets
// chains of its own.
//
// No packet mark is used: whether to masquerade is looked up by the
// connection's original destination. Nothing collides with kube-proxy's 0x4000
// or anybody else's bits. Should kube-proxy run as well, whichever translates
// first has the connection.
//
// # Mode direct
//
// Direct frontends have tables of their own beside: netdev pharos-direct and
// pharos-direct6, with a chain at each device by which packets come from outside,
// know nodes; ip and ip6 pharos-direct know this node's pods. They exist while
// there is a direct frontend.
//
//	ingress/eth0                               slot = jhash of client's address . port
//	   │ is the address a direct frontend's?
//	   ▼                                       from another node (Ethernet address, tunnel)
//	direct ── map owners: target . slot ──►      │ map owners: note that node in the priority
//	   │        fwd to that node                 ▼
//	   │ not there: this node owns it          serve, second-chance, …
//	   ▼
//	conntrack ── known ──────────────────────► its pod
//	   │ second-chance: not known
//	   ├ TCP, not a SYN: a marked copy to the previous owner's node, or a reset
//	   └ else serve: map slots: target . slot ─► dnat to the slot's pod, no masquerade
//
// Sending on in the ingress hook costs less than routing; needs no mark, rule,
// route or setting; asks no table of local addresses, where kube-proxy in mode
// IPVS has the address too; and no other program's chains see the packet. What
// the hook cannot decide goes up with the node's number in the packet's priority:
// fragments, which conntrack puts together; datagrams that a tunnel does not
// carry, so that the kernel tells their sender; and what another node sent here by
// mistake, so that it is sent on only if its connection is not known here. From
// there it is sent as a copy (dup), of which conntrack knows nothing.
//
// Nodes on the same segment are reached by next hop, others by VXLAN devices
// pharos4 and pharos6. Who is a sibling is told by the Ethernet addresses that the
// kernel's neighbor table has for the nodes; one without is sent nothing yet. So
// every hop of a packet between nodes is from one that knows the next. Where a tunnel
// can't be made its nodes have no way, and all else works.
//
// The maps of slots are large, and reading one takes quadratic time in the kernel:
// nobody does. Frontends carry a digest of what is in them, by which a successor
// knows them; what others do to the tables is heard (NFNLGRP_NFTABLES), and then
// they are made anew in one transaction. A large transaction of the driver's own goes
// unheard: the kernel would write a message about each element.
//
// Invariants: one Apply is one transaction; packets see the tables before it or
// after it. The tables outlive the process, and its successor takes over what it
// finds: where nothing changed it writes nothing. A table whose chains, rules or
// sets differ from this version's is replaced as a whole, in one transaction.
//
// Kernel: 5.9 and later (reject in prerouting); Probe says what mode direct lacks.
// Pages: nft(8), Documentation/networking/nf_conntrack-sysctl, RFC 7348 (VXLAN).
// Start reading at Driver, then family.chains; for mode direct at
// family.ingressChains and family.ownerChains.
package nft
