// Package ipvs programs the data plane with the kernel's IPVS, as kube-proxy does
// in its mode of that name. It implements dataplane.Driver.
//
// It decides nothing about Services, package dataplane does. It leaves alone the
// virtual services of others, and every rule that isn't in a chain of its own.
//
//	Service ──compile──► virtual services ┐
//	                     elements of sets ├─difference──► plan: steps in order ──► kernel
//	kernel ──read──────► the same         ┘               each with its undoing
//
// The addresses of Services are on the interface kube-ipvs0, a dummy that answers
// no ARP and stays down: so packets to them end on the node, where IPVS takes them
// up. ipvsadm -ln shows a virtual service for each frontend, node ports at each
// address of the node:
//
//	TCP  172.19.100.1:80 rr
//	  -> 10.233.64.16:80              Masq    1      0          0
//
// What IPVS can't tell, iptables does, in chains PHAROS-…: whose source is
// masqueraded, who is not admitted, and which packets come from inside (the node
// and its pods) where those have other endpoints: they get a mark, and a virtual
// service of that mark. The rules name no Service; they look into sets (ipset),
// so that an endpoint more or less is a few elements:
//
//	mangle PREROUTING, OUTPUT   in FRONTENDS? from PODS?
//	   NEW in DROP-…, or in GUARDED and not in ALLOWED: dropped
//	   NEW in MASQ-…: the connection is marked
//	   from inside and in MARK: the packet gets the element's mark
//	filter INPUT                to an address of VIPS and not in FRONTENDS: refused
//	IPVS                        mark, or else address, protocol and port → destination
//	nat POSTROUTING             marked connections, and pods that reach themselves: MASQUERADE
//
// The rules are written by iptables-restore, whichever variant works here: that is
// what the programs on nodes with IPVS use too, whether its backend is x_tables or
// nf_tables, and it is all that a kernel without nf_tables' ip family has.
// Everything else goes by netlink.
//
// IPVS has no transactions. The steps of an Apply are ordered so that each packet
// finds the old or the new form of a Service; if the kernel refuses one, those
// before it are taken back.
//
// An endpoint that is gone keeps its weightless destination, and its connections,
// until they end or Options.Drain is over; one of UDP goes at once. Session
// affinity is persistence, on top of a scheduler that hashes the client's address
// (sh, with many endpoints mh): so that all frontends of a Service choose the same
// endpoint. Where packets have a mark, the hash alone decides.
//
// Mode direct: frontends have the scheduler mh, whose table follows from the
// destinations alone, with the same destinations in the same order on every node:
// pods of the node translated, the others' packets sent on to the next hop of the
// pod, unchanged (ipvsadm's Route). That node's table says the same, and its pod is
// local; net.ipv4.vs.sloppy_tcp lets it take up a connection in the middle. So a
// connection outlives its ingress node. Limits of the kernel's table: there is no
// second chance, so that while endpoints change, connections may break that also
// come to a node which has not seen them before, about one endpoint's share of
// those; a draining endpoint keeps its connections only at the ingress nodes that
// know them, and one on a dead node loses them, so that clients hear a reset; nodes
// that disagree for a moment send a packet on until its time to live is over; and
// the next hop to a pod has to be its node.
//
// A frontend at an address where another program has a virtual service is left out,
// and Driver.Refused says so; the address does not come on kube-ipvs0. At the
// node's own addresses only the same protocol and port are in the way.
//
// Invariants: a virtual service at an address that is not on kube-ipvs0, nor among
// our frontends, is not touched; where nothing changed nothing is written, also by
// a successor of the process; rules, sets and destinations outlive the process.
//
// Limits: IPVS forgets a TCP connection that is idle for 15 minutes
// (ipvsadm --set). The mark of a packet from inside is set as a whole. Where a node
// port meets an external IP that is the node's own address and port, the
// external IP has it.
//
// Kernel: 4.18 and later (mh with its flags; before 5.9 new connections from a
// reused port are slow). Pages: ipvsadm(8), ipset(8), iptables-extensions(8),
// Documentation/networking/ipvs-sysctl; Kubernetes documentation, "Virtual IPs and
// Service Proxies", IPVS proxy mode. Start reading at Driver, then
// compiler.compile.
package ipvs
