// Package dataplane plans what a node's kernel shall do with the packets sent to
// Services, and defines what a driver has to offer that makes the kernel do it.
//
// It touches no kernel: packages nft and its siblings are the drivers. It does
// not announce addresses to the network: package speaker does.
//
//	Snapshot ──► Planner.Plan ──► State ──► Driver.Apply ──► kernel
//	             (pure, keeps       │            ├─ nft
//	             what is planned)   │            ├─ …
//	                                └────────────└─ Model: where does this packet go?
//
//	Service ─┬─ Frontend 10.96.0.10:80/TCP  ── outside ─┐
//	         │   (ClusterIP)                 ── inside ──┼─► Group "cluster" ─► Backends of all nodes
//	         └─ Frontend 192.0.2.1:80/TCP    ── inside ──┘
//	             (LoadBalancer, Local)       ── outside ───► Group "local" ───► Backends of this node
//
// Inside are packets that this node or one of its own pods sends; outside all
// others. What happens in which case is what kube-proxy does, whose place the
// data plane takes (Kubernetes documentation, "Virtual IPs and Service
// Proxies", and KEP-1669 for endpoints that terminate).
//
// A Service in mode direct has a table (package table) in the Group that its load
// balancer addresses lead to from outside: it says which endpoint, on which node,
// owns which connections. All nodes plan the same one of the same Snapshot.
// Endpoints that terminate, that are not ready for a while, or whose node is
// drained, keep theirs and get no new ones; those on a node that isn't ready get no
// second chances. An endpoint that names no node has nobody to keep its
// connections: such a Service is carried in mode nat, and Service.ModeRefused says
// so. With session affinity a client's address alone chooses, so that no clock is
// needed; one pod more takes its share of the clients, for their new connections.
//
// Fleet is the Models of several nodes: where a packet of mode direct goes from the
// node that it reaches, and who gets it at last.
//
// Invariants: the last Snapshot alone decides what a State holds (but for a Node
// object that is gone: the node stays as it was); a State is immutable and shares
// with the one before what did not change; no two frontends of a State have the
// same address, protocol and port.
//
// Serving is what a kernel holds of a Service, for whoever announces its addresses.
//
// Start reading at State, then Planner.
package dataplane
