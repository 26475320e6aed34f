// Package nft programs the data plane with nftables over netlink. It implements
// dataplane.Driver.
//
// It decides nothing about Services, package dataplane does, and never touches
// a table that isn't its own.
//
// Two tables, ip pharos and ip6 pharos, have the same chains. Their rules name no
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
// Invariants: one Apply is one transaction; packets see the tables before it or
// after it. The tables outlive the process, and its successor takes over what it
// finds: where nothing changed it writes nothing. A table whose chains, rules or
// sets differ from this version's is replaced as a whole, in one transaction.
//
// Kernel: 5.9 and later (reject in prerouting). Pages: nft(8),
// Documentation/networking/nf_conntrack-sysctl. Start reading at Driver, then
// family.chains.
package nft
